using System;
using Vmm.Pci.Access;

namespace Vmm.Virtio.Driver;

/// <summary>Requests of a queue with memory each, of one size: which slot a completion is of, and which slots are free.</summary>
/// <remarks>One thread at a time, as the queue. A slot is free, the caller's, or outstanding. Nothing is allocated after the construction.</remarks>
internal sealed class RequestSlots
{
    private readonly IDmaBuffer _memory;
    private readonly int _stride;
    private readonly int[] _free;
    private readonly int[] _slotOf;

    public RequestSlots(VirtioPciDriver driver, DriverQueue queue, int count, int stride)
    {
        (Queue, Count, Free, _stride) = (queue, count, count, stride);
        _memory = driver.MapBuffer(checked(count * stride));
        _slotOf = new int[queue.Size];
        _free = new int[count];
        for (int i = 0; i < count; i++)
        {
            _free[i] = count - 1 - i;
        }
    }

    public DriverQueue Queue { get; }

    public int Count { get; }

    /// <summary>Slots that are free.</summary>
    public int Free { get; private set; }

    /// <summary>Requests that the device has.</summary>
    public int Outstanding { get; private set; }

    public bool TryTake(out int slot)
    {
        slot = Free > 0 ? _free[--Free] : -1;
        return slot >= 0;
    }

    public void Return(int slot) => _free[Free++] = slot;

    public Span<byte> MemoryOf(int slot) => _memory.Span.Slice(slot * _stride, _stride);

    public ulong IovaOf(int slot) => _memory.Iova + ((ulong)slot * (ulong)_stride);

    /// <summary>Makes the request of a slot available.</summary>
    /// <returns>False if the queue is too full; the slot is still the caller's.</returns>
    public bool TrySubmit(int slot, ReadOnlySpan<DriverSegment> segments)
    {
        if (Queue.TrySubmit(segments) is not { } token)
        {
            return false;
        }

        _slotOf[token] = slot;
        Outstanding++;
        return true;
    }

    /// <summary>Takes a completed request; its slot is the caller's again.</summary>
    public bool TryComplete(out int slot, out uint length)
    {
        bool completed = Queue.TryComplete(out int token, out length);
        slot = completed ? Take(token) : -1;
        return completed;
    }

    /// <summary>Waits for a completed request; its slot is the caller's again.</summary>
    public bool TryWait(TimeSpan timeout, out int slot, out uint length)
    {
        bool completed = Queue.TryWaitComplete(timeout, out int token, out length);
        slot = completed ? Take(token) : -1;
        return completed;
    }

    /// <summary>Waits for a completed request as long as the driver is patient.</summary>
    public int Wait(out uint length) => Take(Queue.WaitComplete(out length));

    private int Take(int token)
    {
        Outstanding--;
        return _slotOf[token];
    }
}
