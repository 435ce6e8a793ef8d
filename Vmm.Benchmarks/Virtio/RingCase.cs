using System;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Virtio;

/// <summary>A full split ring that is drained: pop, walk, complete, need-notify for each chain.</summary>
internal sealed unsafe class RingCase : IQueueInterrupt
{
    private const ushort Size = 256;
    private const ulong Descriptors = 0x1_0000;
    private const ulong Available = 0x1_2000;
    private const ulong Used = 0x1_3000;
    private const ulong Tables = 0x2_0000;
    private const ulong Headers = 0x10_0000;
    private const ulong Statuses = 0x11_0000;
    private const ulong Data = 0x20_0000;
    private const ushort NextFlag = 1;
    private const ushort WriteFlag = 2;
    private const ushort IndirectFlag = 4;

    private readonly GuestMemory _memory = new();
    private readonly byte* _ram;
    private readonly Virtqueue _queue;
    private readonly DescriptorChain _chain = new();
    private readonly bool _eventIndex;
    private readonly int _descriptorsPerChain;
    private readonly ushort[] _heads;
    private readonly byte[] _sector;
    private ushort _index;
    private int _notifications;
    private int _descriptorsSeen;

    public RingCase(int descriptorsPerChain, bool indirect, bool eventIndex, int dataLength = 4096, int regions = 1)
    {
        var ram = HostMemory.AllocateAnonymous(64 << 20);
        _ram = ram.Pointer;
        _memory.Add(0, ram, 0, 64 << 20);
        for (int i = 1; i < regions; i++)
        {
            _memory.Add((ulong)i << 32, HostMemory.AllocateAnonymous(64 << 20), 0, 64 << 20);
        }

        _descriptorsPerChain = descriptorsPerChain;
        _eventIndex = eventIndex;
        _sector = new byte[dataLength];
        Chains = indirect ? Size : Size / descriptorsPerChain;
        _heads = new ushort[Chains];
        for (int k = 0; k < Chains; k++)
        {
            _heads[k] = (ushort)(indirect ? k : k * descriptorsPerChain);
            ulong table = indirect ? Tables + (64UL * (ulong)k) : Descriptors;
            int first = indirect ? 0 : k * descriptorsPerChain;
            if (indirect)
            {
                Set(Descriptors, k, table, (uint)(16 * descriptorsPerChain), IndirectFlag, 0);
            }

            ulong data = Data + (4096UL * (ulong)k);
            if (descriptorsPerChain == 1)
            {
                Set(table, first, data, (uint)dataLength, 0, 0);
            }
            else
            {
                Set(table, first, Headers + (16UL * (ulong)k), 16, NextFlag, (ushort)(first + 1));
                Set(table, first + 1, data, (uint)dataLength, NextFlag | WriteFlag, (ushort)(first + 2));
                Set(table, first + 2, Statuses + (16UL * (ulong)k), 1, WriteFlag, 0);
            }
        }

        var configuration = new VirtqueueConfiguration
        {
            Index = 0,
            Size = Size,
            Descriptors = Descriptors,
            Driver = Available,
            Device = Used,
            Features = (indirect ? RingFeatures.IndirectDescriptors : 0) | (eventIndex ? RingFeatures.EventIndex : 0),
        };
        var resources = new QueueResources { Configuration = configuration, Dma = new DmaTarget(_memory), Kick = new EventFd(), Interrupt = this };
        if (!Virtqueue.TryCreate(resources, out Virtqueue? queue, out string? reason))
        {
            throw new InvalidOperationException(reason);
        }

        _queue = queue;
    }

    /// <summary>Chains in a full ring.</summary>
    public int Chains { get; }

    /// <summary>Drains a full ring; the filling is not timed.</summary>
    public long Drain() => Timed(notifyEach: true, io: false);

    /// <summary>Drains a full ring and asks about the interrupt once.</summary>
    public long DrainNotifyingOnce() => Timed(notifyEach: false, io: false);

    /// <summary>Drains a full ring of read requests: header in, data and status out.</summary>
    public long DrainReads() => Timed(notifyEach: true, io: true);

    /// <summary>Only the copies of <see cref="DrainReads"/>, into the same buffers: what no ring can be faster than.</summary>
    public long CopyOnly()
    {
        long start = Stopwatch.GetTimestamp();
        DoCopies();
        return Stopwatch.GetTimestamp() - start;
    }

    public void Signal() => throw new NotSupportedException();

    public EventFd GetEventFd() => throw new NotSupportedException();

    private long Timed(bool notifyEach, bool io)
    {
        Fill();
        _notifications = 0;
        _descriptorsSeen = 0;
        long start = Stopwatch.GetTimestamp();
        int chains = io ? DoReads() : DoDrain(notifyEach);
        long elapsed = Stopwatch.GetTimestamp() - start;
        int expected = notifyEach && !_eventIndex ? Chains : 1;
        if (chains != Chains || *(ushort*)(_ram + Used + 2) != _index || _notifications != expected
            || (!io && _descriptorsSeen != Chains * _descriptorsPerChain))
        {
            throw new InvalidOperationException(
                $"{chains} chains, {_descriptorsSeen} descriptors, {_notifications} notifications: {_queue.BrokenReason}");
        }

        return elapsed;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int DoDrain(bool notifyEach)
    {
        int chains = 0;
        int descriptors = 0;
        int notifications = 0;
        ulong sink = 0;
        using (_queue.Enter())
        {
            while (_queue.TryPop(_chain))
            {
                // The addresses are used, the buffers are not touched.
                int count = _chain.ReadableCount + _chain.WritableCount;
                GuestSegment* segments = _chain.Segments;
                for (int i = 0; i < count; i++)
                {
                    sink ^= (ulong)segments[i].Base;
                }

                descriptors += count;
                _queue.Complete(_chain, (uint)_chain.WritableLength);
                if (notifyEach && _queue.NeedsInterrupt())
                {
                    notifications++;
                }

                chains++;
            }

            if (!notifyEach && _queue.NeedsInterrupt())
            {
                notifications++;
            }
        }

        BlackBox.Sink ^= sink;
        _descriptorsSeen = descriptors;
        _notifications = notifications;
        return chains;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private int DoReads()
    {
        int chains = 0;
        int notifications = 0;
        ulong sink = 0;
        Span<byte> header = stackalloc byte[16];
        using (_queue.Enter())
        {
            while (_queue.TryPop(_chain))
            {
                _chain.Readable.CopyTo(header);
                sink ^= BitConverter.ToUInt64(header) ^ BitConverter.ToUInt64(header[8..]);
                GuestBuffers writable = _chain.Writable;
                writable.CopyFrom(_sector);
                writable.Slice(writable.Length - 1).Fill(0);
                _queue.Complete(_chain, (uint)writable.Length);
                if (_queue.NeedsInterrupt())
                {
                    notifications++;
                }

                chains++;
            }
        }

        BlackBox.Sink ^= sink;
        _notifications = notifications;
        return chains;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void DoCopies()
    {
        for (int k = 0; k < Chains; k++)
        {
            _sector.CopyTo(new Span<byte>(_ram + Data + (4096 * k), _sector.Length));
        }
    }

    private void Fill()
    {
        for (int k = 0; k < Chains; k++)
        {
            *(ushort*)(_ram + Available + 4 + (2 * ((_index + k) % Size))) = _heads[k];
        }

        _index += (ushort)Chains;
        *(ushort*)(_ram + Available + 4 + (2 * Size)) = (ushort)(_index - 1);
        Volatile.Write(ref *(ushort*)(_ram + Available + 2), _index);
    }

    private void Set(ulong table, int index, ulong address, uint length, ushort flags, ushort next)
    {
        byte* place = _ram + table + (16 * index);
        *(ulong*)place = address;
        *(uint*)(place + 8) = length;
        *(ushort*)(place + 12) = flags;
        *(ushort*)(place + 14) = next;
    }
}
