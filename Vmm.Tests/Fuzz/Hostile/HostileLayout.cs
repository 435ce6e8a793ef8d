using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>Where a lying device has its structures, and what its configuration space says of it.</summary>
internal sealed class HostileLayout
{
    private const int Slots = 6;
    private const int SlotSize = 0x20;
    private const int FirstSlot = 0x40;

    public HostileLayout(HostileProfile profile, Random random)
    {
        for (int bar = 0; bar < BarLengths.Length; bar++)
        {
            BarLengths[bar] = random.Next(3) == 0 ? 0 : 0x4000u;
        }

        int home = random.Next(6);
        BarLengths[home] = 0x4000;
        bool odd = profile.Damage == 1;
        Common = new StructureLocation(home, 0, odd ? Pick(random, 0x40, 0x100, 0x38, 0x3c, 0x20) : 0x40);
        Isr = new StructureLocation(home, 0x100, odd ? Pick(random, 0, 4) : 1);
        Device = new StructureLocation(home, 0x200, odd ? Pick(random, 0x40, 4, 1, 0) : 0x100);
        Notification = new StructureLocation(home, 0x1000, odd ? Pick(random, 0x1000, 4, 2, 1) : 0x1000);
        Multiplier = odd ? Pick(random, 2, 0x1000, 3, 0x8000_0000) : Pick(random, 4, 4, 2, 0);
        Write(profile, random);
    }

    public byte[] Configuration { get; } = new byte[256];

    public ulong[] BarLengths { get; } = new ulong[6];

    public StructureLocation Common { get; }

    public StructureLocation Isr { get; }

    public StructureLocation Device { get; }

    public StructureLocation Notification { get; }

    public uint Multiplier { get; }

    private static uint Pick(Random random, params ReadOnlySpan<uint> from) => from[random.Next(from.Length)];

    private void Write(HostileProfile profile, Random random)
    {
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration, VirtioPciIds.Vendor);
        BinaryPrimitives.WriteUInt16LittleEndian(Configuration.AsSpan(2), (ushort)(VirtioPciIds.DeviceBase + profile.DeviceType));
        Configuration[6] = 0x10;
        List<(byte Type, StructureLocation Where, uint More)> capabilities =
        [
            (1, Common, 0), (2, Notification, Multiplier), (3, Isr, 0), (4, Device, 0),
            (
                (byte)random.Next(256),
                new StructureLocation(random.Next(256), (uint)HostileProfile.Interesting(random), (uint)HostileProfile.Interesting(random)),
                (uint)random.Next()),
            (8, new StructureLocation(Common.Bar, 0x2000, 0x1000), 0),
        ];
        if (profile.Damage == 1 && random.Next(4) == 0)
        {
            capabilities.RemoveAt(random.Next(capabilities.Count));
        }

        int[] slots = [0, 1, 2, 3, 4, 5];
        random.Shuffle(slots);
        Configuration[0x34] = Place(slots[0]);
        for (int i = 0; i < capabilities.Count; i++)
        {
            (byte type, StructureLocation where, uint more) = capabilities[i];
            Span<byte> place = Configuration.AsSpan(Place(slots[i]), SlotSize);
            bool last = i == capabilities.Count - 1;
            place[0] = 9;
            place[1] = last ? (random.Next(3) == 0 ? Place(random.Next(Slots)) : (byte)0) : Place(slots[i + 1]);
            place[2] = profile.Damage == 1 && random.Next(10) == 0 ? (byte)random.Next(256) : (byte)24;
            place[3] = type;
            place[4] = (byte)where.Bar;
            place[5] = (byte)random.Next(3);
            BinaryPrimitives.WriteUInt32LittleEndian(place[8..], (uint)where.Offset);
            BinaryPrimitives.WriteUInt32LittleEndian(place[12..], (uint)where.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(place[16..], more);
        }

        if (profile.Damage == 3)
        {
            random.NextBytes(Configuration.AsSpan(0x34));
        }
        else if (profile.Damage == 2)
        {
            for (int i = random.Next(1, 6); i > 0; i--)
            {
                Configuration[random.Next(0x34, 0x100)] = (byte)random.Next(256);
            }
        }
    }

    private static byte Place(int slot) => (byte)(FirstSlot + (slot * SlotSize));
}
