using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using System.Text;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>A block device as a driver uses it (virtio 1.2, 5.2): one request after another here, many at once by <see cref="Queues"/>.</summary>
/// <remarks>One thread at a time. Its own requests go to queues on which nothing else is outstanding.</remarks>
public sealed class VirtioBlockDriver : IDisposable
{
    /// <summary>Bytes of a sector.</summary>
    public const int SectorSize = 512;

    private const int MaximumTransfer = 64 * 1024;
    private const int IdentifierLength = 20;
    private const int RangeLength = 16;

    // Data starts a page, with a header before it and a status behind it where they are needed.
    private const int DataOffset = 4096;
    private const int HeaderOffset = DataOffset - BlockRequestQueue.HeaderLength;

    // What the device reads, and what it writes. A device that assumes header and status in descriptors of their own has no queue of 2.
    private const int FewestDescriptors = 2;

    private readonly IDmaBuffer _buffer;
    private BlockRequestQueue[] _queues = [];
    private bool _unanswered;

    private VirtioBlockDriver(VirtioPciDriver driver)
    {
        Driver = driver;
        _buffer = driver.MapBuffer(DataOffset + MaximumTransfer + 1);
        Capacity = driver.ReadDeviceConfiguration(static field => field(0, 8));
    }

    /// <summary>The driver underneath.</summary>
    public VirtioPciDriver Driver { get; }

    /// <summary>Sectors of the disk when it was opened.</summary>
    public ulong Capacity { get; }

    /// <summary>The request queues.</summary>
    public IReadOnlyList<BlockRequestQueue> Queues => _queues;

    private Span<byte> Data => _buffer.Span.Slice(DataOffset, MaximumTransfer);

    /// <summary>Initialises and starts a block device.</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for; flush, discard and write-zeroes are wanted in any case.</param>
    /// <param name="queues">Queues to set up.</param>
    /// <param name="queueSize">Most descriptors a queue, at least 2.</param>
    /// <exception cref="DriverException">The device cannot be driven.</exception>
    public static VirtioBlockDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null, int queues = 1, int queueSize = 256)
    {
        options ??= new VirtioDriverOptions();
        ulong wanted = options.WantedFeatures | BlockFeatures.Flush | BlockFeatures.Discard | BlockFeatures.WriteZeroes
            | (queues > 1 ? BlockFeatures.MultiQueue : 0);
        var driver = VirtioPciDriver.Open(access, options with { DeviceType = VirtioDeviceType.Block, WantedFeatures = wanted });
        try
        {
            var disk = new VirtioBlockDriver(driver);
            driver.Start(
                [.. Enumerable.Range(0, queues)
                    .Select(index => new DriverQueueOptions(index) { MaximumSize = queueSize, MinimumSize = FewestDescriptors })]);
            disk._queues = [.. driver.Queues.Select(queue => new BlockRequestQueue(driver, queue))];
            return disk;
        }
        catch
        {
            driver.Dispose();
            throw;
        }
    }

    /// <summary>Reads sectors.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="destination">A multiple of <see cref="SectorSize"/> bytes.</param>
    /// <param name="queue">Queue to use.</param>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Read(ulong sector, Span<byte> destination, int queue = 0)
    {
        RequireSectors(destination.Length);
        while (!destination.IsEmpty)
        {
            int length = Math.Min(destination.Length, MaximumTransfer);
            Request(BlockRequestType.Read, sector, length, deviceWrites: true, queue);
            Data[..length].CopyTo(destination);
            destination = destination[length..];
            sector += (uint)(length / SectorSize);
        }
    }

    /// <summary>Writes sectors.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="source">A multiple of <see cref="SectorSize"/> bytes.</param>
    /// <param name="queue">Queue to use.</param>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Write(ulong sector, ReadOnlySpan<byte> source, int queue = 0)
    {
        RequireSectors(source.Length);
        while (!source.IsEmpty)
        {
            int length = Math.Min(source.Length, MaximumTransfer);
            source[..length].CopyTo(Data);
            Request(BlockRequestType.Write, sector, length, deviceWrites: false, queue);
            source = source[length..];
            sector += (uint)(length / SectorSize);
        }
    }

    /// <summary>Makes what was written durable; does nothing for a device that writes through.</summary>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Flush()
    {
        if ((Driver.Features & BlockFeatures.Flush) != 0)
        {
            Request(BlockRequestType.Flush, 0, 0, deviceWrites: false, 0);
        }
    }

    /// <summary>The name that the device gives itself: ASCII, at most 20 characters.</summary>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public string GetId()
    {
        Data[..IdentifierLength].Clear();
        Request(BlockRequestType.GetId, 0, IdentifierLength, deviceWrites: true, 0);
        ReadOnlySpan<byte> id = Data[..IdentifierLength];
        int end = id.IndexOf((byte)0);
        return Encoding.ASCII.GetString(end < 0 ? id : id[..end]);
    }

    /// <summary>Says that sectors are not needed any more.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="count">How many.</param>
    /// <exception cref="NotSupportedException">The device does not offer it.</exception>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void Discard(ulong sector, uint count) => ChangeRange(BlockRequestType.Discard, BlockFeatures.Discard, sector, count, 0);

    /// <summary>Makes sectors read as zeroes.</summary>
    /// <param name="sector">The first.</param>
    /// <param name="count">How many.</param>
    /// <param name="mayUnmap">Whether the storage may be given back.</param>
    /// <exception cref="NotSupportedException">The device does not offer it.</exception>
    /// <exception cref="DriverException">The device reports an error, or does not answer.</exception>
    public void WriteZeroes(ulong sector, uint count, bool mayUnmap = false)
    {
        ChangeRange(BlockRequestType.WriteZeroes, BlockFeatures.WriteZeroes, sector, count, mayUnmap ? 1u : 0);
    }

    /// <inheritdoc/>
    public void Dispose() => Driver.Dispose();

    private static void RequireSectors(int length)
    {
        if (length % SectorSize != 0)
        {
            throw new ArgumentException($"{length} bytes are not whole sectors");
        }
    }

    private void ChangeRange(BlockRequestType type, ulong feature, ulong sector, uint count, uint flags)
    {
        if ((Driver.Features & feature) == 0)
        {
            throw new NotSupportedException($"the device does not offer {type}");
        }

        Span<byte> range = Data;
        BinaryPrimitives.WriteUInt64LittleEndian(range, sector);
        BinaryPrimitives.WriteUInt32LittleEndian(range[8..], count);
        BinaryPrimitives.WriteUInt32LittleEndian(range[12..], flags);
        Request(type, 0, RangeLength, deviceWrites: false, 0);
    }

    private void Request(BlockRequestType type, ulong sector, int length, bool deviceWrites, int queueIndex)
    {
        // Its answer would be taken for that of this one, and may still come into the buffer.
        if (_unanswered)
        {
            throw new DriverException("request", "an earlier request is unanswered");
        }

        BlockRequestQueue queue = _queues[queueIndex];
        if (queue.Outstanding != 0)
        {
            throw new InvalidOperationException($"{queue.Outstanding} requests are outstanding on queue {queueIndex}");
        }

        _unanswered = true;
        BlockStatus status = queue.Queue.Size > FewestDescriptors
            ? RequestInPieces(queue, type, sector, length, deviceWrites)
            : RequestInTwo(queue, type, sector, length, deviceWrites);
        _unanswered = false;
        if (status != BlockStatus.Ok)
        {
            throw new DriverException("request", $"{type} at sector {sector} ended with status {status}");
        }
    }

    private BlockStatus RequestInPieces(BlockRequestQueue queue, BlockRequestType type, ulong sector, int length, bool deviceWrites)
    {
        var data = new DriverSegment(_buffer.Iova + DataOffset, (uint)length, deviceWrites);
        if (queue.TrySubmit(type, sector, length == 0 ? [] : [data]) is null)
        {
            throw new DriverException("request", $"queue {queue.Queue.Index} has only {queue.Queue.FreeDescriptors} descriptors");
        }

        queue.Notify();
        _ = queue.WaitComplete(out BlockStatus status);
        return status;
    }

    /// <summary>Header, data and status follow each other, and the device may not care where descriptors part them (2.7.4.1).</summary>
    private BlockStatus RequestInTwo(BlockRequestQueue queue, BlockRequestType type, ulong sector, int length, bool deviceWrites)
    {
        Span<byte> memory = _buffer.Span;
        int end = DataOffset + length;
        int split = deviceWrites ? DataOffset : end;
        BlockRequestQueue.WriteHeader(memory[HeaderOffset..], type, sector);
        memory[end] = BlockRequestQueue.NoStatus;
        DriverSegment read = new(_buffer.Iova + HeaderOffset, (uint)(split - HeaderOffset), false);
        DriverSegment written = new(_buffer.Iova + (uint)split, (uint)(end + 1 - split), true);
        if (queue.TrySubmitInTwo(read, written) is null)
        {
            throw new DriverException("request", $"queue {queue.Queue.Index} has only {queue.Queue.FreeDescriptors} descriptors");
        }

        queue.Notify();
        _ = queue.WaitComplete(out _);
        return (BlockStatus)_buffer.Span[end];
    }
}
