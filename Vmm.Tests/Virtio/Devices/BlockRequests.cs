using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Requests to a block device, written down from virtio 1.2, 5.2.6.</summary>
internal static class BlockRequests
{
    public const uint In = 0;
    public const uint Out = 1;
    public const uint Flush = 4;
    public const uint GetId = 8;
    public const uint Discard = 11;
    public const uint WriteZeroes = 13;
    public const byte Ok = 0;
    public const byte IoError = 1;
    public const byte Unsupported = 2;

    public static VirtioDeviceRig Open(TemporaryFile file, BlockDeviceOptions? options = null, bool readOnly = false, ulong? features = null)
    {
        return new VirtioDeviceRig(new BlockDevice(RawFileBackend.Open(file.Path, readOnly), options), features: features).Start();
    }

    public static (byte Status, byte[] Data, uint Length) Request(VirtioDeviceRig disk, uint type, ulong sector, byte[] data, int room)
    {
        ulong header = disk.Ram.Place(Header(type, sector));
        ulong answer = disk.Ram.Allocate((ulong)room + 1);
        disk.Ram.Write(answer, [.. Enumerable.Repeat((byte)0xa5, room + 1)]);
        List<GuestBuffer> buffers = [Readable(header, 16)];
        if (data.Length != 0)
        {
            buffers.Add(Readable(disk.Ram.Place(data), (uint)data.Length));
        }

        if (room != 0)
        {
            buffers.Add(Writable(answer, (uint)room));
        }

        buffers.Add(Writable(answer + (ulong)room, 1));
        ushort head = disk.Drivers[0].Add([.. buffers]);
        disk.Kick();
        (uint id, uint length) = disk.WaitUsed();
        id.Should().Be(head);
        byte[] written = disk.Ram.Read(answer, room + 1);
        return (written[^1], written[..^1], length);
    }

    public static byte[] Header(uint type, ulong sector)
    {
        byte[] header = new byte[16];
        BinaryPrimitives.WriteUInt32LittleEndian(header, type);
        BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), sector);
        return header;
    }

    public static byte[] Range(ulong sector, uint count, uint flags)
    {
        byte[] range = new byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(range, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(8), count);
        BinaryPrimitives.WriteUInt32LittleEndian(range.AsSpan(12), flags);
        return range;
    }


    public static byte[] Pattern(int length, int seed)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }
}
