using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>The popped chains of a queue for received packets, in ring order: which a packet fills, and which go back.</summary>
internal sealed class NetReceiveChains
{
    private const int MaximumPieces = PacketBatch.MaximumPieces - 1;

    private readonly Virtqueue _queue;
    private readonly DescriptorChain[] _chains;
    private readonly uint[] _written;
    private int _pieces;
    private bool _full;

    /// <param name="queue">The queue.</param>
    /// <param name="most">Chains that are popped at once, at most.</param>
    public NetReceiveChains(Virtqueue queue, int most)
    {
        _queue = queue;
        _chains = new DescriptorChain[Math.Min(queue.Size, (ushort)most)];
        _written = new uint[_chains.Length];
        for (int i = 0; i < _chains.Length; i++)
        {
            _chains[i] = new DescriptorChain(4, MaximumPieces);
        }
    }

    /// <summary>Chains that are popped.</summary>
    public int Count { get; private set; }

    /// <summary>Bytes that they have room for.</summary>
    public long Capacity { get; private set; }

    /// <summary>Whether the driver may still bring a buffer like those it has posted, all of which are popped, and it be popped too.</summary>
    public bool MayGrow
    {
        get
        {
            uint taken = 0;
            uint largest = 0;
            for (int i = 0; i < Count; i++)
            {
                taken += _chains[i].RingDescriptors;
                largest = Math.Max(largest, _chains[i].RingDescriptors);
            }

            return Count < _chains.Length && !_full && taken + largest <= _queue.Size;
        }
    }

    /// <summary>The room of a chain.</summary>
    public GuestBuffers this[int index] => _chains[index].Writable;

    /// <summary>Pops until the chains have so many bytes, or there are so many of them, or no more.</summary>
    public void PopUntil(long wanted, int most = int.MaxValue)
    {
        while (Capacity < wanted && Count < Math.Min(most, _chains.Length) && !_full && _queue.TryPop(_chains[Count]))
        {
            GuestBuffers room = this[Count];
            if (room.IsEmpty)
            {
                _queue.MarkBroken("a buffer for received packets without room");
                return;
            }

            if (room.Count > MaximumPieces - _pieces)
            {
                // It waits until those before it are used: a chain alone has no more pieces than fit.
                _queue.UndoPop(_chains[Count]);
                _full = true;
                return;
            }

            Count++;
            Capacity += room.Length;
            _pieces += room.Count;
        }
    }

    /// <summary>Has a packet fill chains.</summary>
    /// <param name="length">Its length.</param>
    /// <param name="first">The first chain.</param>
    /// <param name="end">Where the chains end that it may fill.</param>
    /// <returns>How many it fills, or 0 if they have no room for it.</returns>
    public int Fill(int length, int first, int end)
    {
        int chain = first;
        for (long left = length; left > 0; chain++)
        {
            if (chain == end)
            {
                return 0;
            }

            long part = Math.Min(left, _chains[chain].WritableLength);
            _written[chain] = (uint)part;
            left -= part;
        }

        return chain - first;
    }

    /// <summary>Completes the first chains as one step, as they were filled; those that are left are the first then.</summary>
    public void Complete(int used)
    {
        if (used == 0)
        {
            return;
        }

        _queue.CompleteTogether(_chains.AsSpan(0, used), _written.AsSpan(0, used));
        for (int i = 0; i < used; i++)
        {
            Capacity -= this[i].Length;
            _pieces -= this[i].Count;
        }

        Count -= used;
        _full = false;
        for (int i = 0; i < Count; i++)
        {
            (_chains[i], _chains[i + used]) = (_chains[i + used], _chains[i]);
        }
    }

    /// <summary>Puts all that are popped back into the ring, where what was written to them counts as written (MEM-5).</summary>
    public void GiveBack()
    {
        while (Count > 0)
        {
            _queue.UndoPop(_chains[--Count]);
        }

        Capacity = 0;
        _pieces = 0;
        _full = false;
    }
}
