using System.Collections.Generic;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Conformance;

/// <summary>A device that says it is of another type, and may be one that never looks at its queues.</summary>
internal sealed class RetypedDevice(VirtioDevice inner, int type, bool silent = false) : VirtioDevice
{
    public override VirtioDeviceType DeviceType => (VirtioDeviceType)type;

    public override ulong OfferedFeatures => inner.OfferedFeatures;

    public override IReadOnlyList<ushort> QueueSizes => inner.QueueSizes;

    public override bool CompletesInOrder => inner.CompletesInOrder;

    public override void OnFeaturesNegotiated(ulong features) => inner.OnFeaturesNegotiated(features);

    public override void Start(ulong features, IVirtioDeviceHost host) => inner.Start(features, host);

    public override bool TryStartQueue(QueueResources queue, [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out string? reason)
    {
        reason = null;
        return silent || inner.TryStartQueue(queue, out reason);
    }

    public override void PrepareStop(int index) => inner.PrepareStop(index);

    public override VirtqueueState? StopQueue(int index) => inner.StopQueue(index);

    public override void Reset() => inner.Reset();

    protected override void Dispose(bool disposing)
    {
        inner.Dispose();
        base.Dispose(disposing);
    }
}
