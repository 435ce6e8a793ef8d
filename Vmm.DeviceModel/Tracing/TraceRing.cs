using System;
using System.Numerics;
using System.Threading;

namespace Vmm.DeviceModel.Tracing;

/// <summary>A bounded queue from many threads to one, without a lock: who finds it full counts a loss and goes on.</summary>
/// <remarks>
/// Each place has a sequence number: equal to the position, it is free for the producer of that position; one more, it holds that position's
/// entry; one round more, it is free again. A producer takes a position by one compare-and-swap and publishes the entry by a release store.
/// </remarks>
internal sealed class TraceRing
{
    private readonly Place[] _places;
    private readonly int _mask;
    private long _head;
    private long _lost;

    public TraceRing(int capacity)
    {
        if (capacity < 2 || !BitOperations.IsPow2(capacity))
        {
            throw new ArgumentOutOfRangeException(nameof(capacity), capacity, "a power of two, at least 2");
        }

        _places = new Place[capacity];
        _mask = capacity - 1;
        for (int i = 0; i < capacity; i++)
        {
            _places[i].Sequence = i;
        }
    }

    /// <summary>How many entries found no place, since the ring was made.</summary>
    public long Lost => Volatile.Read(ref _lost);

    /// <summary>The position of the next entry to be taken. Only the consumer reads it.</summary>
    private long Tail { get; set; }

    /// <summary>Puts an entry in, from any thread.</summary>
    public void Add(in TracedAccess entry)
    {
        long position = Volatile.Read(ref _head);
        while (true)
        {
            ref Place place = ref _places[position & _mask];
            long difference = Volatile.Read(ref place.Sequence) - position;
            if (difference < 0)
            {
                CountLoss();
                return;
            }

            long seen = difference == 0 ? Interlocked.CompareExchange(ref _head, position + 1, position) : Volatile.Read(ref _head);
            if (difference == 0 && seen == position)
            {
                place.Entry = entry;
                Volatile.Write(ref place.Sequence, position + 1);
                return;
            }

            position = seen;
        }
    }

    /// <summary>Takes the oldest entry, on the one consuming thread.</summary>
    /// <returns>False if there is none, or its producer is about to finish it.</returns>
    public bool TryTake(out TracedAccess entry)
    {
        ref Place place = ref _places[Tail & _mask];
        if (Volatile.Read(ref place.Sequence) != Tail + 1)
        {
            entry = default;
            return false;
        }

        entry = place.Entry;
        place.Entry = default;
        Volatile.Write(ref place.Sequence, Tail + _places.Length);
        Tail++;
        return true;
    }

    /// <summary>Counts an access that is not written.</summary>
    public void CountLoss() => Interlocked.Increment(ref _lost);

    private struct Place
    {
        public long Sequence;
        public TracedAccess Entry;
    }
}
