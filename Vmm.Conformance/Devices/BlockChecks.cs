using System;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Devices;

/// <summary>Block devices (virtio 1.2, 5.2).</summary>
internal static class BlockChecks
{
    private const VirtioDeviceType Block = VirtioDeviceType.Block;
    private const BlockRequestType Unknown = (BlockRequestType)0x7357;
    private const int Sector = VirtioBlockDriver.SectorSize;
    private const int IdLength = 20;

    public static CheckGroup Group { get; } = new("block devices", "virtio 1.2")
    {
        { "BLK-READ", "5.2.6", "The first and the last sector can be read, and the status is written", Read, Block },
        { "BLK-READ-STABLE", "5.2.6", "A sector that nobody writes reads the same again", ReadStable, Block },
        // What drivers must not ask (5.2.6.1), and no sentence on devices demands to be refused.
        { "BLK-RANGE", "5.2.6", "A read beyond the capacity ends with IOERR", Range, Block, Need.None, 0, CheckSeverity.Recommendation },
        { "BLK-RANGE-WRAP", "5.2.6", "A read at the last sector number there can be ends with IOERR", RangeWrap, Block, Need.None, 0, CheckSeverity.Recommendation },
        { "BLK-UNSUPPORTED", "5.2.6", "A request of an unknown type ends with UNSUPP", Unsupported, Block },
        { "BLK-AFTER-ERROR", "5.2.6", "The device goes on after requests that failed", AfterError, Block },
        { "BLK-ID", "5.2.6", "GET_ID gives a string of at most 20 characters, the same each time", Id, Block },
        { "BLK-ID-PADDED", "5.2.6", "The id is padded with NUL up to 20 bytes", IdPadded, Block, Need.None, 0, CheckSeverity.Recommendation },
        { "BLK-FLUSH", "5.2.6.2", "With FLUSH negotiated a flush succeeds", Flush, Block, Need.Virtio, BlockScene.FlushFeature },
        { "BLK-WRITE", "5.2.6", "What was written is read", Write, Block, Need.Scratch },
        { "BLK-WRITE-RANGE", "5.2.6", "A write beyond the capacity ends with IOERR", WriteRange, Block, Need.Scratch, 0, CheckSeverity.Recommendation },
        { "BLK-READ-ONLY", "5.2.6.2", "A read-only device ends writes with IOERR and does not write", ReadOnly, Block, Need.Virtio, BlockScene.ReadOnlyFeature },
        { "BLK-DISCARD", "5.2.6", "Sectors can be discarded", Discard, Block, Need.Scratch, BlockScene.DiscardFeature },
        { "BLK-DISCARD-UNMAP", "5.2.6.2", "A discard with the unmap flag ends with UNSUPP", DiscardUnmap, Block, Need.Scratch, BlockScene.DiscardFeature },
        { "BLK-DISCARD-RANGE", "5.2.6", "A discard beyond the capacity ends with IOERR", DiscardRange, Block, Need.Scratch, BlockScene.DiscardFeature, CheckSeverity.Recommendation },
        { "BLK-ZEROES", "5.2.6.2", "Sectors written with zeroes read as zeroes, and their neighbours do not", Zeroes, Block, Need.Scratch, BlockScene.ZeroesFeature },
        { "BLK-ZEROES-FLAGS", "5.2.6.2", "A write of zeroes with an unknown flag ends with UNSUPP", ZeroesFlags, Block, Need.Scratch, BlockScene.ZeroesFeature },
        { "BLK-QUEUES", "5.2.5", "With MQ num_queues is not zero and every queue serves", Queues, Block, Need.Virtio, BlockScene.QueuesFeature },
    };

    private static void Read(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        check.Require(scene.Disk.Capacity != 0, "a capacity", "0 sectors");
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read of sector 0");
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, scene.Disk.Capacity - 1, Sector, true), "a read of the last sector");
    }

    private static void ReadStable(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read");
        byte[] first = scene.Data[..Sector].ToArray();
        for (int i = 0; i < 10; i++)
        {
            scene.Data[..Sector].Fill((byte)i);
            scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read");
            check.Require(scene.Data[..Sector].SequenceEqual(first), "the same bytes of sector 0", "others");
        }
    }

    private static void Range(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Read, scene.Disk.Capacity, Sector, true), "a read behind the last sector");
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Read, scene.Disk.Capacity - 1, 2 * Sector, true), "a read across the end");
    }

    private static void RangeWrap(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Read, ulong.MaxValue, Sector, true), "a read of sector 2^64 - 1");
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Read, 1UL << 55, Sector, true), "a read of sector 2^55");
    }

    private static void Unsupported(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        scene.Expect(BlockStatus.Unsupported, scene.Request(Unknown, 0, Sector, true), "a request of an unknown type");
        scene.Expect(BlockStatus.Unsupported, scene.Request(Unknown, 0, Sector, false), "a request of an unknown type");
    }

    private static void AfterError(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        for (int i = 0; i < 20; i++)
        {
            _ = scene.Request(i % 2 == 0 ? Unknown : BlockRequestType.Read, ulong.MaxValue, Sector, true);
            scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read after a failure");
        }
    }

    private static void Id(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        byte[]? first = null;
        for (int i = 0; i < 3; i++)
        {
            Span<byte> id = ReadId(check, scene, (byte)(0xf0 + i));
            id = id.IndexOf((byte)0) is >= 0 and var end ? id[..end] : id;
            first ??= id.ToArray();
            check.Require(id.SequenceEqual(first), $"the id {Convert.ToHexString(first)} each time", Convert.ToHexString(id));
        }
    }

    private static void IdPadded(CheckContext check)
    {
        Span<byte> id = ReadId(check, BlockScene.Start(check), 0xf0);
        int end = id.IndexOf((byte)0);
        check.Require(end < 0 || id[end..].IndexOfAnyExcept((byte)0) < 0, "NUL behind the id", Convert.ToHexString(id));
    }

    private static Span<byte> ReadId(CheckContext check, BlockScene scene, byte before)
    {
        scene.Data[..IdLength].Fill(before);
        byte status = scene.Request(BlockRequestType.GetId, 0, IdLength, true);
        if (status == (byte)BlockStatus.Unsupported)
        {
            check.Skip("the device does not tell its id");
        }

        scene.Expect(BlockStatus.Ok, status, "GET_ID");
        return scene.Data[..IdLength];
    }

    private static void Flush(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.FlushFeature);
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Flush, 0, 0, false), "a flush");
    }

    private static void Write(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        for (byte i = 1; i < 10; i++)
        {
            scene.Data[..(2 * Sector)].Fill(i);
            scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Write, i, 2 * Sector, false), "a write");
        }

        for (byte i = 1; i < 10; i++)
        {
            scene.Data[..Sector].Clear();
            scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, i, Sector, true), "a read");
            check.Require(scene.Data[..Sector].IndexOfAnyExcept(i) < 0, $"sector {i} as it was written", "other bytes");
        }
    }

    private static void WriteRange(CheckContext check)
    {
        var scene = BlockScene.Start(check);
        scene.Data[..(2 * Sector)].Fill(0x77);
        scene.Expect(
            BlockStatus.IoError, scene.Request(BlockRequestType.Write, scene.Disk.Capacity, Sector, false), "a write behind the last sector");
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Write, ulong.MaxValue, Sector, false), "a write at sector 2^64 - 1");
    }

    private static void ReadOnly(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.ReadOnlyFeature);
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read");
        byte[] before = scene.Data[..Sector].ToArray();
        scene.Data[..Sector].Fill((byte)(before[0] + 1));
        scene.Expect(BlockStatus.IoError, scene.Request(BlockRequestType.Write, 0, Sector, false), "a write");
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true), "a read");
        check.Require(scene.Data[..Sector].SequenceEqual(before), "sector 0 as it was", "other bytes");
    }

    private static void Discard(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.DiscardFeature);
        scene.Expect(BlockStatus.Ok, scene.Range(BlockRequestType.Discard, 8, 8, 0), "a discard");
    }

    private static void DiscardUnmap(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.DiscardFeature);
        scene.Expect(BlockStatus.Unsupported, scene.Range(BlockRequestType.Discard, 8, 8, 1), "a discard with the unmap flag");
        scene.Expect(BlockStatus.Unsupported, scene.Range(BlockRequestType.Discard, 8, 8, 1 << 9), "a discard with an unknown flag");
    }

    private static void DiscardRange(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.DiscardFeature);
        scene.Expect(BlockStatus.IoError, scene.Range(BlockRequestType.Discard, scene.Disk.Capacity, 8, 0), "a discard behind the last sector");
        scene.Expect(
            BlockStatus.IoError, scene.Range(BlockRequestType.Discard, ulong.MaxValue - 7, 8, 0),
            "a discard at the last sector numbers there can be");
    }

    private static void Zeroes(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.ZeroesFeature);
        scene.Data[..(4 * Sector)].Fill(0x5a);
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Write, 16, 4 * Sector, false), "a write");
        scene.Expect(BlockStatus.Ok, scene.Range(BlockRequestType.WriteZeroes, 17, 2, 0), "a write of zeroes");
        scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 16, 4 * Sector, true), "a read");
        Span<byte> data = scene.Data[..(4 * Sector)];
        check.Require(data.Slice(Sector, 2 * Sector).IndexOfAnyExcept((byte)0) < 0, "zeroes", "other bytes");
        check.Require(
            data[..Sector].IndexOfAnyExcept((byte)0x5a) < 0 && data[(3 * Sector)..].IndexOfAnyExcept((byte)0x5a) < 0,
            "the sectors beside them as they were",
            "other bytes");
    }

    private static void ZeroesFlags(CheckContext check)
    {
        var scene = BlockScene.Start(check, BlockScene.ZeroesFeature);
        scene.Expect(BlockStatus.Unsupported, scene.Range(BlockRequestType.WriteZeroes, 8, 8, 1 << 9), "a write of zeroes with an unknown flag");
    }

    private static void Queues(CheckContext check)
    {
        int queues = (int)BlockScene.Start(check, BlockScene.QueuesFeature).Disk.Driver.ReadDeviceConfiguration(static field => field(0x22, 2));
        check.Require(queues != 0, "num_queues of 1 at least", "0");
        var scene = BlockScene.Start(check, BlockScene.QueuesFeature, queues);
        for (int i = 0; i < queues * 3; i++)
        {
            scene.Expect(BlockStatus.Ok, scene.Request(BlockRequestType.Read, 0, Sector, true, i % queues), $"a read on queue {i % queues}");
        }
    }
}
