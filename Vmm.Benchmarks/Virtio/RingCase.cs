using System;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Virtio;

/// <summary>A full ring that is drained: pop, walk, complete, need-notify for each chain.</summary>
internal sealed unsafe class RingCase : IQueueInterrupt
{
    private const int RegionLength = 64 << 20;

    private readonly GuestMemory _memory = new();
    private readonly RingShape _shape;
    private readonly RingFiller _filler;
    private readonly byte* _ram;
    private readonly Virtqueue _queue;
    private readonly DescriptorChain _chain = new();
    private readonly byte[] _sector;
    private int _notifications;
    private int _descriptorsSeen;

    public RingCase(RingShape shape)
    {
        var ram = HostMemory.AllocateAnonymous(RegionLength);
        _ram = ram.Pointer;
        _memory.Add(0, ram, 0, RegionLength);
        for (int i = 1; i < shape.Regions; i++)
        {
            _memory.Add((ulong)i << 32, HostMemory.AllocateAnonymous(RegionLength), 0, RegionLength);
        }

        _shape = shape;
        _sector = new byte[shape.DataLength];
        _filler = shape.IsPacked ? new PackedRingFiller(shape, _ram) : new SplitRingFiller(shape, _ram);
        var resources = new QueueResources
        {
            Configuration = _filler.Configuration,
            Dma = new DmaTarget(_memory),
            Kick = new EventFd(),
            Interrupt = this,
        };
        if (!Virtqueue.TryCreate(resources, out Virtqueue? queue, out string? reason))
        {
            throw new InvalidOperationException(reason);
        }

        _queue = queue;
    }

    /// <summary>Chains in a full ring.</summary>
    public int Chains => _shape.Chains;

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
        _filler.Fill();
        _notifications = 0;
        _descriptorsSeen = 0;
        int chains;
        long start = Stopwatch.GetTimestamp();

        // As a device's server has it: the scope outside, the loop in a method of its own.
        using (_queue.Enter())
        {
            chains = io ? DoReads() : DoDrain(notifyEach);
        }

        long elapsed = Stopwatch.GetTimestamp() - start;
        int expected = notifyEach && !_shape.HasEventIndex ? Chains : 1;
        if (chains != Chains || !_filler.IsDrained || _notifications != expected
            || (!io && _descriptorsSeen != Chains * _shape.DescriptorsPerChain))
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
        Virtqueue queue = _queue;
        DescriptorChain chain = _chain;
        while (queue.TryPop(chain))
        {
            // The addresses are used, the buffers are not touched.
            int count = chain.ReadableCount + chain.WritableCount;
            GuestSegment* segments = chain.Segments;
            ulong addresses = 0;
            for (int i = 0; i < count; i++)
            {
                addresses ^= (ulong)segments[i].Base;
            }

            sink ^= addresses;
            descriptors += count;
            queue.Complete(chain, (uint)chain.WritableLength);
            if (notifyEach && queue.NeedsInterrupt())
            {
                notifications++;
            }

            chains++;
        }

        if (!notifyEach && queue.NeedsInterrupt())
        {
            notifications++;
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
        Virtqueue queue = _queue;
        DescriptorChain chain = _chain;
        Span<byte> header = stackalloc byte[16];
        while (queue.TryPop(chain))
        {
            chain.Readable.CopyTo(header);
            sink ^= BitConverter.ToUInt64(header) ^ BitConverter.ToUInt64(header[8..]);
            GuestBuffers writable = chain.Writable;
            writable.CopyFrom(_sector);
            writable.Slice(writable.Length - 1).Fill(0);
            queue.Complete(chain, (uint)writable.Length);
            if (queue.NeedsInterrupt())
            {
                notifications++;
            }

            chains++;
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
            _sector.CopyTo(new Span<byte>(_ram + RingFiller.Data + (4096 * k), _sector.Length));
        }
    }
}
