using System;
using System.Buffers.Binary;
using System.Linq;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Conformance;

/// <summary>What makes each check of a device type fail.</summary>
internal static class DeviceDefects
{
    private const byte Ok = 0;
    private const byte IoError = 1;
    private const byte Unsupported = 2;

    // Lengths of what the drivers map, by which their memory is told apart.
    private const int BlockSlots = 256 * 32;
    private const int BlockData = 4096;
    private const int ControlSlot = 4099;

    private delegate void Change(Span<byte> memory);

    public static DefectTable Table { get; } = new()
    {
        { "BLK-READ", d => Status(d, Ok, IoError) },
        { "BLK-READ-STABLE", CountInData },
        { "BLK-RANGE", d => Status(d, IoError, Ok) },
        { "BLK-RANGE-WRAP", d => Status(d, IoError, Ok) },
        { "BLK-UNSUPPORTED", d => Status(d, Unsupported, IoError) },
        { "BLK-AFTER-ERROR", FailForGood },
        { "BLK-ID", CountInData },
        { "BLK-ID-PADDED", d => Memory(d, BlockData, static data => data[19] = 0xee) },
        { "BLK-FLUSH", d => Status(d, Ok, Unsupported) },
        { "BLK-WRITE", d => Memory(d, BlockData, static data => data[7] = 0xee) },
        { "BLK-WRITE-RANGE", d => Status(d, IoError, Ok) },
        { "BLK-READ-ONLY", "read-only", d => Status(d, IoError, Ok) },
        { "BLK-DISCARD", d => Status(d, Ok, IoError) },
        { "BLK-DISCARD-UNMAP", d => Status(d, Unsupported, Ok) },
        { "BLK-DISCARD-RANGE", d => Status(d, IoError, Ok) },
        { "BLK-ZEROES", d => Memory(d, BlockData, static data => data[512 + 9] = 0xee) },
        { "BLK-ZEROES-FLAGS", d => Status(d, Unsupported, Ok) },
        { "BLK-QUEUES", "blk,num_queues=3", d => d.OnWrite = (o, _, v) => o > d.Notify && o < d.Notify + 0x1000 ? null : v },

        { "NET-TRANSMIT", "net", RingDefects.Stall },
        { "NET-CONTROL", "net", d => Memory(d, ControlSlot, static command => Replace(command, 3, 0, 1)) },
        { "NET-CONTROL-UNKNOWN", "net", d => Memory(d, ControlSlot, static command => Replace(command, 3, 1, 0)) },
        { "NET-CONTROL-AFTER", "net", RefuseForGood },
        { "NET-MAC-SET", "net", d => d.Read(d.Device + 5, static _ => 0x55) },
        { "NET-MTU", "mtu", d => d.Read(d.Device + 10, static _ => 67) },
        { "NET-PAIRS", "pairs", d => d.Read(d.Device + 8, static _ => 0) },
        { "NET-RECEIVE", "net", d => First(d, 64 * 2048, static frames => frames.Slice(2048 + 12 + 40, 16).Fill(0xee)) },
        { "NET-RECEIVE-MERGE", "net", d => First(d, 64 * 256, static frames => frames.Slice(256 + 12 + 40, 16).Fill(0xee)) },

        { "RNG-LENGTH", "rng", d => d.OnTouch = _ => UsedLength(d, 0) },
        { "RNG-CHANGES", "rng", d => Memory(d, 64, static bytes => bytes.Fill(7)) },
        { "RNG-INSIDE", "rng", d => Memory(d, 256, static bytes => bytes[100] = 0) },
        { "CON-OUTPUT", "console", RingDefects.Stall },
        { "CON-SIZE", "console", d => d.Read(d.Device, static _ => 0) },
        {
            "CON-INPUT", "console", d => Memory(d, 8 * 1024, static input =>
            {
                for (int at = 5; at < input.Length; at += 1024)
                {
                    input[at] = 0x41;
                }
            })
        },
    };

    /// <summary>Memory of a length is something else whenever the driver looks.</summary>
    private static void Memory(DefectiveAccess d, int length, Change change) => d.OnTouch = buffer =>
    {
        if (buffer.Span.Length == length)
        {
            change(buffer.Span);
        }
    };

    /// <summary>The same for what was mapped first of that length.</summary>
    private static void First(DefectiveAccess d, int length, Change change) => d.OnTouch = buffer =>
    {
        if (buffer == d.Buffers.FirstOrDefault(b => b.Span.Length == length))
        {
            change(buffer.Span);
        }
    };

    /// <summary>The status of block requests.</summary>
    private static void Status(DefectiveAccess d, byte from, byte to) => Memory(d, BlockSlots, slots =>
    {
        for (int at = 16; at < slots.Length; at += 32)
        {
            // A slot that was never used has status 0 as well.
            Replace(slots, at, from, to);
        }
    });

    private static void FailForGood(DefectiveAccess d)
    {
        bool failed = false;
        Memory(d, BlockSlots, slots =>
        {
            failed |= slots[16] is IoError or Unsupported;
            if (failed)
            {
                Replace(slots, 16, Ok, IoError);
            }
        });
    }

    private static void RefuseForGood(DefectiveAccess d)
    {
        bool refused = false;
        Memory(d, ControlSlot, command =>
        {
            refused |= command[3] == 1;
            if (refused)
            {
                Replace(command, 3, 0, 1);
            }
        });
    }

    private static void CountInData(DefectiveAccess d)
    {
        byte count = 0;
        Memory(d, BlockData, data => data[0] = ++count);
    }

    private static void Replace(Span<byte> memory, int at, byte from, byte to) => memory[at] = memory[at] == from ? to : memory[at];

    private static void UsedLength(DefectiveAccess d, uint length)
    {
        Span<byte> used = d.MemoryAt(d.Inner.ReadBar(0, Reg.QueueDevice, 4));
        if (!used.IsEmpty)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(used[8..], length);
        }
    }
}
