using System;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance.Rings;

/// <summary>The requirements that split and packed virtqueues share (virtio 1.2, 2.7 and 2.8), each with the section of either kind.</summary>
internal static class RingChecks
{
    private const ulong Packed = RingFeatures.Packed;
    private const ulong EventIndex = RingFeatures.EventIndex;

    public static CheckGroup Split { get; } = Make("split virtqueues", "RING", 0);

    public static CheckGroup PackedRings { get; } = Make("packed virtqueues", "PACKED", Packed);

    private static CheckGroup Make(string title, string name, ulong ring)
    {
        bool packed = ring != 0;
        var group = new CheckGroup(title, "virtio 1.2");
        Add("USED", "2.7.8", "2.8.4", "Used elements name buffers that were made available, with no more bytes than there is room for", RingBodies.Used);
        Add("ONCE", "2.7.14", "2.8.22", "A buffer is used once", RingBodies.Once);
        Add("SEVERAL", "2.7.13", "2.8.21", "A full queue of buffers is used", RingBodies.Several);
        Add("WRAP", "2.7.8", "2.8.1", "The device goes on where indices or wrap counters wrap", RingBodies.Wrap);
        Add("FRAMING", "2.7.4.1", "2.8.5", "The arrangement of descriptors makes no difference", RingBodies.Framing);
        Add("CHAIN-LONG", "2.7.5", "2.8.18", "A chain may be as long as the queue", RingBodies.LongChain, severity: CheckSeverity.Recommendation);
        Add("READABLE", "2.7.5.1", "2.8.15", "A device-readable buffer is not written", RingBodies.ReadableKept);
        Add("WRITABLE", "2.7.5", "2.8.4", "Nothing is written behind a device-writable buffer", RingBodies.WritableOnly);
        Add("SIZE-SMALLEST", "2.7", "2.8", "The smallest queue that holds a request works", RingBodies.Smallest);
        Add("SIZE-LARGEST", "2.7", "2.8", "A queue of the maximum size works", RingBodies.Largest);
        Add("INDIRECT", "2.7.5.3", "2.8.7", "Buffers in indirect tables are used, among others that are not", RingBodies.Indirect, RingFeatures.IndirectDescriptors);
        Add("IN-ORDER", "2.7.9", "2.8.8", "With IN_ORDER buffers are used in the order in which they were made available", RingBodies.InOrder, RingFeatures.InOrder);
        Add("INTERRUPT", "2.7.7.2", "2.8.10", "Without event indices an interrupt that is asked for comes", RingBodies.Told, need: Need.Msix);
        Add("INTERRUPT-QUIET", "2.7.7.2", "2.8.10", "Without event indices no interrupt comes that is not asked for", RingBodies.Quiet, need: Need.Msix, severity: CheckSeverity.Recommendation);
        Add("EVENT", "2.7.7.2", "2.8.10", "An interrupt comes when the event index is reached", RingBodies.Told, EventIndex, need: Need.Msix);
        Add("EVENT-QUIET", "2.7.7.2", "2.8.10", "No interrupt comes while the event index is not reached", RingBodies.Quiet, EventIndex, need: Need.Msix, severity: CheckSeverity.Recommendation);
        Add("NOTIFY", "2.7.10.2", "2.8.10", "Without event indices no buffer is overlooked by a device that asks not to be told", RingBodies.Kicks);
        Add("NOTIFY-EVENT", "2.7.10.2", "2.8.10", "With event indices no buffer is overlooked by a device that asks to be told later", RingBodies.Kicks, EventIndex);
        Add("NOTIFY-DATA", "2.9", "2.9", "Notifications may carry the place in the ring", RingBodies.NotificationData, TransportFeatures.NotificationData);
        Add("RESET", "2.6.1", "2.6.1", "A queue that was reset begins anew, with another size", RingBodies.Reset, TransportFeatures.RingReset);
        return group;

        void Add(
            string id,
            string splitSection,
            string packedSection,
            string requirement,
            Action<CheckContext, ulong> body,
            ulong features = 0,
            Need need = Need.None,
            CheckSeverity severity = CheckSeverity.Requirement)
        {
            group.Add(new Check(
                $"{name}-{id}", $"virtio 1.2, {(packed ? packedSection : splitSection)}", requirement, check => body(check, ring | features))
            {
                Needs = Need.Work | need,
                Features = ring | features,
                Severity = severity,
            });
        }
    }
}
