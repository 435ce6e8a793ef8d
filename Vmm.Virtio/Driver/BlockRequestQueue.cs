using System;
using System.Buffers.Binary;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Driver;

/// <summary>A request queue of a block device with as many requests outstanding as it holds (virtio 1.2, 5.2.6).</summary>
/// <remarks>One thread at a time; different queues on different threads.</remarks>
public sealed class BlockRequestQueue
{
    internal const int HeaderLength = 16;
    private const int Stride = 32;
    private const int MostRequests = 256;
    internal const byte NoStatus = 0xff;

    private readonly RequestSlots _slots;
    private readonly DriverSegment[] _segments;

    internal BlockRequestQueue(VirtioPciDriver driver, DriverQueue queue)
    {
        _slots = new RequestSlots(driver, queue, Math.Min(queue.Size, MostRequests), Stride);
        _segments = new DriverSegment[queue.Size];
    }

    /// <summary>The virtqueue underneath.</summary>
    public DriverQueue Queue => _slots.Queue;

    /// <summary>Requests that were made and not taken back.</summary>
    public int Outstanding => _slots.Outstanding;

    /// <summary>Pieces of data that a request can have: header and status take a descriptor each.</summary>
    public int MostPieces => _segments.Length - 2;

    /// <summary>Makes a request available; <see cref="Notify"/> tells the device.</summary>
    /// <param name="type">What to do.</param>
    /// <param name="sector">The first sector, for reads and writes.</param>
    /// <param name="data">What the device reads or writes between header and status.</param>
    /// <returns>A number that names the request until it completes; null if the queue is too full for it now.</returns>
    /// <exception cref="ArgumentException">There are more pieces than <see cref="MostPieces"/>.</exception>
    public int? TrySubmit(BlockRequestType type, ulong sector, ReadOnlySpan<DriverSegment> data)
    {
        if (data.Length > MostPieces)
        {
            throw new ArgumentException($"a request of this queue has at most {MostPieces} pieces of data", nameof(data));
        }

        if (!_slots.TryTake(out int slot))
        {
            return null;
        }

        Span<byte> memory = _slots.MemoryOf(slot);
        WriteHeader(memory, type, sector);
        memory[HeaderLength] = NoStatus;
        _segments[0] = new DriverSegment(_slots.IovaOf(slot), HeaderLength, false);
        data.CopyTo(_segments.AsSpan(1));
        _segments[data.Length + 1] = new DriverSegment(_slots.IovaOf(slot) + HeaderLength, 1, true);
        return Submit(slot, data.Length + 2);
    }

    /// <summary>Tells the device of new requests, unless it asked not to be told.</summary>
    public void Notify() => Queue.Notify();

    /// <summary>Takes a completed request.</summary>
    /// <param name="request">What <see cref="TrySubmit"/> returned.</param>
    /// <param name="status">How it ended; 0xff if the device wrote none.</param>
    /// <returns>False if none has completed.</returns>
    /// <exception cref="DriverException">The device returned what it was not given.</exception>
    public bool TryComplete(out int request, out BlockStatus status)
    {
        bool completed = _slots.TryComplete(out request, out _);
        status = completed ? Finish(request) : default;
        return completed;
    }

    /// <summary>Waits for a completed request.</summary>
    /// <param name="status">How it ended; 0xff if the device wrote none.</param>
    /// <returns>What <see cref="TrySubmit"/> returned.</returns>
    /// <exception cref="DriverException">None completes in time, or the device returned what it was not given.</exception>
    public int WaitComplete(out BlockStatus status)
    {
        int request = _slots.Wait(out _);
        status = Finish(request);
        return request;
    }

    /// <summary>
    /// Makes a request available whose header, data and status are in the caller's memory; <see cref="TryComplete"/> knows no status of it.
    /// </summary>
    /// <param name="read">What the device reads.</param>
    /// <param name="written">What it writes.</param>
    internal int? TrySubmitInTwo(in DriverSegment read, in DriverSegment written)
    {
        if (!_slots.TryTake(out int slot))
        {
            return null;
        }

        _slots.MemoryOf(slot)[HeaderLength] = NoStatus;
        (_segments[0], _segments[1]) = (read, written);
        return Submit(slot, 2);
    }

    /// <summary>Writes struct virtio_blk_req up to its data.</summary>
    internal static void WriteHeader(Span<byte> place, BlockRequestType type, ulong sector)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(place, (uint)type);
        BinaryPrimitives.WriteUInt32LittleEndian(place[4..], 0);
        BinaryPrimitives.WriteUInt64LittleEndian(place[8..], sector);
    }

    private int? Submit(int slot, int count)
    {
        if (_slots.TrySubmit(slot, _segments.AsSpan(0, count)))
        {
            return slot;
        }

        _slots.Return(slot);
        return null;
    }

    private BlockStatus Finish(int slot)
    {
        var status = (BlockStatus)_slots.MemoryOf(slot)[HeaderLength];
        _slots.Return(slot);
        return status;
    }
}
