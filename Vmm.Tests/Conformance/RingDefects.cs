using System;
using System.Buffers.Binary;
using Vmm.Virtio.Queues;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of rings fail: memory that is not as the function left it, and notifications that come to nothing.</summary>
internal static class RingDefects
{
    private const string Split = "blk,notification_data=on,in_order=on";
    private const string Packed = "blk,packed=on,notification_data=on,in_order=on";
    private const int Size = 64;
    private const int Descriptor = 16;

    private delegate void Change(Span<byte> memory);

    public static DefectTable Table { get; } = new()
    {
        { "RING-USED", Split, d => Device(d, static used => Write32(used, 4, 0xffff)) },
        { "RING-ONCE", Split, d => Device(d, static used => { if (Read16(used, 2) == 200) { Write16(used, 2, 201); } }) },
        { "RING-SEVERAL", Split, Stall },
        { "RING-WRAP", Split, StallLate },
        { "RING-FRAMING", Split, d => StallIf(d, static (_, length, _) => length == 15) },
        { "RING-CHAIN-LONG", Split, StallAtLongChains },
        { "RING-READABLE", Split, d => AtNotify(d, static memory => memory[5] ^= 0xff, Slots) },
        { "RING-WRITABLE", Split, d => AtNotify(d, static memory => memory[16 + 512 + 1] ^= 0xff, Slots) },
        { "RING-SIZE-SMALLEST", Split, d => StallAtSize(d, 2) },
        { "RING-SIZE-LARGEST", Split, d => StallAtSize(d, 256) },
        { "RING-INDIRECT", Split, d => StallIf(d, static (flags, _, _) => (flags & 4) != 0) },
        { "RING-IN-ORDER", Split, OutOfOrder },
        { "RING-INTERRUPT", Split, NoMessage },
        { "RING-INTERRUPT-QUIET", Split, Interrupts },
        { "RING-EVENT", Split, NoMessage },
        { "RING-EVENT-QUIET", Split, Interrupts },
        { "RING-NOTIFY", Split, d => Device(d, static used => Write16(used, 0, 1)) },
        { "RING-NOTIFY-EVENT", Split, d => Device(d, static used => Write16(used, 4 + (8 * Size), 0x7000)) },
        { "RING-NOTIFY-DATA", Split, d => d.OnWrite = (o, w, v) => o >= d.Notify && o < d.Notify + 0x1000 && w == 4 ? null : v },
        { "RING-RESET", Split, d => d.Read(Reg.QueueReset, static _ => 1) },
        { "RING-TABLE", Split, d => AtNotify(d, static table => table[(40 * Descriptor) + 8] ^= 0xff, Area(Reg.QueueDescriptors)) },
        { "RING-AVAILABLE", Split, d => AtNotify(d, static ring => ring[4 + (2 * 40)] ^= 0xff, Area(Reg.QueueDriver)) },
        { "RING-FLAGS", Split, d => Device(d, static used => Write16(used, 0, 2)) },
        { "RING-EVENT-FLAGS", Split, d => Device(d, static used => Write16(used, 0, 1)) },
        { "RING-EVENT-IGNORES-FLAGS", Split, NoMessage },
        { "RING-EVENT-LATER", Split, NoMessage },
        { "RING-FLAGS-IGNORE-EVENT", Split, NoMessage },
        { "RING-INDIRECT-WRITE", Split, d => StallIf(d, static (flags, _, _) => (flags & 6) == 6) },
        { "RING-INDIRECT-AFTER", Split, d => StallIf(d, static (flags, _, index) => (flags & 4) != 0 && index == 1) },

        { "PACKED-USED", Packed, d => UsedDescriptors(d, static descriptor => Write16(descriptor, 12, 0xfff)) },
        { "PACKED-ONCE", Packed, PhantomUse },
        { "PACKED-SEVERAL", Packed, Stall },
        { "PACKED-WRAP", Packed, StallLate },
        { "PACKED-FRAMING", Packed, d => StallIf(d, static (_, length, _) => length == 15) },
        { "PACKED-CHAIN-LONG", Packed, StallAtLongChains },
        { "PACKED-READABLE", Packed, d => AtNotify(d, static memory => memory[5] ^= 0xff, Slots) },
        { "PACKED-WRITABLE", Packed, d => AtNotify(d, static memory => memory[16 + 512 + 1] ^= 0xff, Slots) },
        { "PACKED-SIZE-SMALLEST", Packed, d => StallAtSize(d, 2) },
        { "PACKED-SIZE-LARGEST", Packed, d => StallAtSize(d, 256) },
        { "PACKED-INDIRECT", Packed, d => StallIf(d, static (flags, _, _) => (flags & 4) != 0) },
        { "PACKED-IN-ORDER", Packed, d => UsedDescriptors(d, static descriptor => Write16(descriptor, 12, 0xfff)) },
        { "PACKED-INTERRUPT", Packed, NoMessage },
        { "PACKED-INTERRUPT-QUIET", Packed, Interrupts },
        { "PACKED-EVENT", Packed, NoMessage },
        { "PACKED-EVENT-QUIET", Packed, Interrupts },
        { "PACKED-NOTIFY", Packed, d => Device(d, static wish => Write32(wish, 0, 1 << 16)) },
        { "PACKED-NOTIFY-EVENT", Packed, d => Device(d, static wish => Write32(wish, 0, 1 << 16)) },
        { "PACKED-NOTIFY-DATA", Packed, d => d.OnWrite = (o, w, v) => o >= d.Notify && o < d.Notify + 0x1000 && w == 4 ? null : v },
        { "PACKED-RESET", Packed, d => d.Read(Reg.QueueReset, static _ => 1) },
        { "PACKED-SIZE-ODD", Packed, d => StallAtSize(d, 7) },
        { "PACKED-EVENT-FORM", Packed, d => Device(d, static wish => Write16(wish, 2, 3)) },
        { "PACKED-EVENT-PLACE", Packed, d => Device(d, static wish => Write16(wish, 2, 3)) },
        { "PACKED-DRIVER-EVENT", Packed, d => AtNotify(d, static wish => wish[3] ^= 0x80, Area(Reg.QueueDriver)) },
    };

    internal static void Stall(DefectiveAccess d) => d.OnNotify(static () => false);

    /// <summary>Everything works until much was done.</summary>
    private static void StallLate(DefectiveAccess d)
    {
        int touches = 0;
        d.OnTouch = _ => touches++;
        d.OnNotify(() => touches < 150_000);
    }

    private static void StallAtSize(DefectiveAccess d, ulong size) => d.OnNotify(() => d.Inner.ReadBar(0, Reg.QueueSize, 2) != size);

    /// <summary>Nothing comes of a notification while a descriptor of the ring (flags, length, index) is as described.</summary>
    private static void StallIf(DefectiveAccess d, Func<ushort, uint, int, bool> bad) => d.OnNotify(() => Count(d, bad) == 0);

    private static void StallAtLongChains(DefectiveAccess d) => d.OnNotify(() => Count(d, static (_, length, _) => length == 1) < 10);

    private static int Count(DefectiveAccess d, Func<ushort, uint, int, bool> bad)
    {
        Span<byte> ring = Area(Reg.QueueDescriptors)(d);
        bool packed = (d.Inner.ReadBar(0, Reg.DriverFeature, 4) & (RingFeatures.Packed >> 32)) != 0;
        int count = 0;
        for (int i = 0; i < (int)d.Inner.ReadBar(0, Reg.QueueSize, 2) && (i + 1) * Descriptor <= ring.Length; i++)
        {
            Span<byte> descriptor = ring.Slice(i * Descriptor, Descriptor);
            count += bad(Read16(descriptor, packed ? 14 : 12), BinaryPrimitives.ReadUInt32LittleEndian(descriptor[8..]), i) ? 1 : 0;
        }

        return count;
    }

    private static void NoMessage(DefectiveAccess d) => d.OnMessage = static _ => null;

    private static void Interrupts(DefectiveAccess d) => d.OnNotify(() =>
    {
        d.Tell(1);
        return true;
    });

    /// <summary>The device area is something else whenever the driver looks.</summary>
    private static void Device(DefectiveAccess d, Change change)
    {
        d.OnTouch = _ =>
        {
            if (Area(Reg.QueueDevice)(d) is { IsEmpty: false } area)
            {
                change(area);
            }
        };
    }

    private static void AtNotify(DefectiveAccess d, Change change, Place where) => d.OnNotify(() =>
    {
        change(where(d));
        return true;
    });

    /// <summary>A packed ring's descriptors that the device has used in a lap whose wrap counter is 1.</summary>
    private static void UsedDescriptors(DefectiveAccess d, Change change)
    {
        d.OnTouch = _ =>
        {
            Span<byte> ring = Area(Reg.QueueDescriptors)(d);
            for (int i = 0; i < Size && (i + 1) * Descriptor <= ring.Length; i++)
            {
                Span<byte> descriptor = ring.Slice(i * Descriptor, Descriptor);
                if ((Read16(descriptor, 14) & 0x8080) == 0x8080)
                {
                    change(descriptor);
                }
            }
        };
    }

    /// <summary>A descriptor of the middle of the ring is used in the second lap before the device got there.</summary>
    private static void PhantomUse(DefectiveAccess d)
    {
        d.OnTouch = _ =>
        {
            if (Area(Reg.QueueDescriptors)(d) is { Length: > Size * Descriptor } ring)
            {
                Write16(ring, (24 * Descriptor) + 14, 0);
            }
        };
    }

    /// <summary>The first used element names a buffer far behind the first, and the used index does not say so.</summary>
    private static void OutOfOrder(DefectiveAccess d)
    {
        Device(d, used =>
        {
            Span<byte> available = Area(Reg.QueueDriver)(d);
            if (Read16(available, 2) is >= 11 and < 64)
            {
                Write32(used, 4, Read16(available, 4 + (2 * 10)));
                Write16(used, 2, Math.Min(Read16(used, 2), (ushort)1));
            }
        });
    }

    private delegate Span<byte> Place(DefectiveAccess d);

    private static Place Area(int register) => d =>
        d.MemoryAt(d.Inner.ReadBar(0, (ulong)register, 4) | (d.Inner.ReadBar(0, (ulong)register + 4, 4) << 32));

    /// <summary>The memory of the requests: what was mapped last.</summary>
    private static Span<byte> Slots(DefectiveAccess d) => d.Buffers[^1].Span;

    private static ushort Read16(Span<byte> memory, int at) => BinaryPrimitives.ReadUInt16LittleEndian(memory[at..]);

    private static void Write16(Span<byte> memory, int at, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(memory[at..], value);

    private static void Write32(Span<byte> memory, int at, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(memory[at..], value);
}
