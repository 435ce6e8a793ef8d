using System.Buffers.Binary;
using Vmm.Virtio.Queues;

namespace Vmm.Conformance.Rings;

/// <summary>What is particular to packed virtqueues (virtio 1.2, 2.8).</summary>
internal static class PackedRingChecks
{
    private const ulong Packed = RingFeatures.Packed;
    private const ulong EventIndex = RingFeatures.EventIndex;

    public static CheckGroup Group { get; } = new("packed virtqueues: sizes and events", "virtio 1.2")
    {
        { "PACKED-SIZE-ODD", "2.8", "A queue size need not be a power of two", OddSize, Need.Work, Packed },
        { "PACKED-EVENT-FORM", "2.8.14", "The device's event suppression has a defined value, without event indices none of a descriptor", EventForm, Need.Work, Packed },
        { "PACKED-EVENT-PLACE", "2.8.14", "With event indices the device's event suppression names a descriptor of the ring", EventPlace, Need.Work, Packed | EventIndex },
        { "PACKED-DRIVER-EVENT", "2.8.10", "The device does not write the driver's event suppression", DriverEvent, Need.Work, Packed },
    };

    private static void OddSize(CheckContext check)
    {
        foreach (int size in new[] { 7, 13 })
        {
            var scene = RingFixture.Start(check, Packed, size);
            check.Equal("queue_size", (uint)size, (uint)scene.Queue.Size);
            scene.DoMany(1000, 2);
        }
    }

    private static void EventForm(CheckContext check)
    {
        var scene = RingFixture.Start(check, Packed);
        for (int i = 0; i < 50; i++)
        {
            scene.Do();
            ushort flags = BinaryPrimitives.ReadUInt16LittleEndian(scene.DeviceArea[2..]);
            check.Require(flags <= 1, "flags of the device's event suppression 0 or 1", CheckContext.Hex(flags));
        }
    }

    private static void EventPlace(CheckContext check)
    {
        var scene = RingFixture.Start(check, Packed | EventIndex, 16);
        for (int i = 0; i < 50; i++)
        {
            scene.Do();
            uint wish = BinaryPrimitives.ReadUInt32LittleEndian(scene.DeviceArea);
            check.Require(wish >> 16 <= 2, "flags of the device's event suppression 0, 1 or 2", CheckContext.Hex(wish >> 16));
            check.Require(wish >> 16 != 2 || (wish & 0x7fff) < 16, "a descriptor of a ring of 16", CheckContext.Hex(wish & 0x7fff));
        }
    }

    private static void DriverEvent(CheckContext check)
    {
        var scene = RingFixture.Start(check, Packed);
        for (int i = 0; i < 20; i++)
        {
            uint before = BinaryPrimitives.ReadUInt32LittleEndian(scene.DriverArea);
            scene.Do();
            check.Equal("the driver's event suppression", before, BinaryPrimitives.ReadUInt32LittleEndian(scene.DriverArea));
        }
    }
}
