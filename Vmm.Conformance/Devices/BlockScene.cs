using System;
using System.Buffers.Binary;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance.Devices;

/// <summary>A block device that runs, and requests of any kind to it.</summary>
internal sealed class BlockScene
{
    public const ulong ReadOnlyFeature = 1UL << 5;
    public const ulong FlushFeature = 1UL << 9;
    public const ulong QueuesFeature = 1UL << 12;
    public const ulong DiscardFeature = 1UL << 13;
    public const ulong ZeroesFeature = 1UL << 14;
    public const byte NoStatus = 0xff;

    private const int Length = 4096;

    private readonly CheckContext _check;
    private readonly IDmaBuffer _memory;

    private BlockScene(CheckContext check, VirtioBlockDriver disk)
    {
        (_check, Disk) = (check, disk);
        _memory = disk.Driver.MapBuffer(Length);
    }

    /// <summary>The disk.</summary>
    public VirtioBlockDriver Disk { get; }

    /// <summary>Memory for data.</summary>
    public Span<byte> Data => _memory.Span;

    /// <summary>Starts a block device.</summary>
    /// <param name="check">The check.</param>
    /// <param name="features">Features to negotiate; the check names them, so that they are offered.</param>
    /// <param name="queues">Queues.</param>
    public static BlockScene Start(CheckContext check, ulong features = 0, int queues = 1)
    {
        var options = new VirtioDriverOptions
        {
            RequiredFeatures = features,
            RefusedFeatures = (FlushFeature | DiscardFeature | ZeroesFeature) & ~features,
            Completion = CompletionMode.Polling,
            Timeout = check.Limits.Reply,
        };
        var disk = VirtioBlockDriver.Open(check.Access, options, queues);
        if (disk.Queues[0].Queue.Size < 3)
        {
            check.Skip("the queue has fewer than 3 descriptors");
        }

        return new BlockScene(check, disk);
    }

    /// <summary>Makes a request and waits for its status.</summary>
    /// <param name="type">What to do, defined or not.</param>
    /// <param name="sector">The first sector.</param>
    /// <param name="length">Bytes of <see cref="Data"/>.</param>
    /// <param name="deviceWrites">Whether the device is given them to write.</param>
    /// <param name="queue">Which queue.</param>
    public byte Request(BlockRequestType type, ulong sector, int length, bool deviceWrites, int queue = 0)
    {
        BlockRequestQueue requests = Disk.Queues[queue];
        ReadOnlySpan<DriverSegment> data = length == 0 ? [] : [new DriverSegment(_memory.Iova, (uint)length, deviceWrites)];
        if (requests.TrySubmit(type, sector, data) is null)
        {
            _check.Skip("the queue has no room for a request");
        }

        requests.Notify();
        _ = requests.WaitComplete(out BlockStatus status);
        _check.NoteUsed(requests.Queue.Index);
        return (byte)status;
    }

    /// <summary>A request that has to end in a certain way.</summary>
    public void Expect(BlockStatus expected, byte status, string request)
    {
        _check.Require(status == (byte)expected, $"status {Name((byte)expected)} of {request}", Name(status));
    }

    /// <summary>A request on one range of sectors.</summary>
    public byte Range(BlockRequestType type, ulong sector, uint count, uint flags)
    {
        BinaryPrimitives.WriteUInt64LittleEndian(Data, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(Data[8..], count);
        BinaryPrimitives.WriteUInt32LittleEndian(Data[12..], flags);
        return Request(type, 0, 16, deviceWrites: false);
    }

    private static string Name(byte status) => status switch
    {
        0 => "OK",
        1 => "IOERR",
        2 => "UNSUPP",
        NoStatus => "none, it was not written",
        _ => CheckContext.Hex(status),
    };
}
