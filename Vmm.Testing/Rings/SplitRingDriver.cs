using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Testing.Memory;

namespace Vmm.Testing.Rings;

/// <summary>The driver's side of one split virtqueue, written from virtio 1.2, 2.7: a guest's writes into its own memory.</summary>
/// <remarks>Everything is public and raw enough to build rings that no decent driver would.</remarks>
public sealed unsafe class SplitRingDriver : RingDriver
{
    private readonly Stack<ushort> _free = new();
    private readonly ushort[] _nextOf;
    private readonly bool[] _chained;
    private ushort _publishedIndex;

    /// <summary>Places an empty ring.</summary>
    /// <param name="ram">RAM that the ring is allocated in.</param>
    /// <param name="size">Entries, a power of two.</param>
    /// <param name="features">Features that were negotiated.</param>
    /// <param name="index">The queue's index.</param>
    public SplitRingDriver(GuestRam ram, ushort size, ulong features = 0, int index = 0)
        : base(ram, size, features, index)
    {
        Driver = ram.Allocate(6 + (2UL * size), 2);
        Device = ram.Allocate(6 + (8UL * size), 4);
        _nextOf = new ushort[size];
        _chained = new bool[size];
        for (int i = size - 1; i >= 0; i--)
        {
            _free.Push((ushort)i);
        }
    }

    /// <inheritdoc/>
    public override int FreeDescriptors => _free.Count;

    /// <summary>The head that the next chain will have.</summary>
    public ushort NextHead => _free.Peek();

    /// <summary>Index of the next available entry that will be published.</summary>
    public ushort AvailableIndex { get; set; }

    /// <summary>Used entries taken so far.</summary>
    public ushort LastUsed { get; set; }

    /// <summary>used.idx, with acquire order.</summary>
    public ushort UsedIndex => Volatile.Read(ref Unsafe.AsRef<ushort>(Ram.Pointer(Device + 2, 2)));

    /// <inheritdoc/>
    public override bool HasUsed => UsedIndex != LastUsed;

    /// <summary>avail.flags bit 0.</summary>
    public bool NoInterrupt
    {
        get => (Ram.Read<ushort>(Driver) & 1) != 0;
        set => Ram.Write(Driver, (ushort)(value ? 1 : 0));
    }

    /// <summary>used.flags bit 0.</summary>
    public bool NoNotify => (Ram.Read<ushort>(Device) & 1) != 0;

    /// <inheritdoc/>
    public override bool KicksDisabled => NoNotify;

    /// <summary>used_event, behind the available ring.</summary>
    public ushort UsedEvent
    {
        get => Ram.Read<ushort>(Driver + 4 + (2UL * Size));
        set => Ram.Write(Driver + 4 + (2UL * Size), value);
    }

    /// <summary>avail_event, behind the used ring.</summary>
    public ushort AvailableEvent => Ram.Read<ushort>(Device + 4 + (8UL * Size));

    /// <summary>Writes a descriptor of the table.</summary>
    /// <param name="index">Place in the table.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes of the buffer.</param>
    /// <param name="flags">Flags as they stand in the ring.</param>
    /// <param name="next">Index of the next descriptor.</param>
    public void SetDescriptor(int index, ulong address, uint length, int flags, ushort next = 0)
    {
        SetDescriptorAt(Descriptors + (16UL * (uint)index), address, length, flags, next);
    }

    /// <inheritdoc/>
    public override void SetDescriptorAt(ulong place, ulong address, uint length, int flags) => SetDescriptorAt(place, address, length, flags, 0);

    /// <summary>Writes a descriptor anywhere, as into an indirect table.</summary>
    /// <param name="place">Address of the descriptor.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes of the buffer.</param>
    /// <param name="flags">Flags as they stand in the ring.</param>
    /// <param name="next">Index of the next descriptor.</param>
    public void SetDescriptorAt(ulong place, ulong address, uint length, int flags, ushort next)
    {
        Ram.Write(place, address);
        Ram.Write(place + 8, length);
        Ram.Write(place + 12, (ushort)flags);
        Ram.Write(place + 14, next);
    }

    /// <inheritdoc/>
    public override void SetChain(params ReadOnlySpan<RawDescriptor> descriptors)
    {
        for (int i = 0; i < descriptors.Length; i++)
        {
            RawDescriptor descriptor = descriptors[i];
            SetDescriptor(i, descriptor.Address, descriptor.Length, descriptor.Flags, (ushort)((descriptor.Flags & Next) != 0 ? i + 1 : 0));
        }

        AvailableIndex = 0;
        AddHead(0);
    }

    /// <summary>Puts a head into the next available entry, without publishing the index.</summary>
    /// <param name="head">Any value.</param>
    public void AddHead(ushort head)
    {
        Ram.Write(Driver + 4 + (2UL * (ushort)(AvailableIndex % Size)), head);
        AvailableIndex++;
    }

    /// <inheritdoc/>
    public override void Publish()
    {
        // Release: entries before the index.
        Volatile.Write(ref Unsafe.AsRef<ushort>(Ram.Pointer(Driver + 2, 2)), AvailableIndex);
    }

    /// <inheritdoc/>
    /// <remarks>2.7.10.</remarks>
    public override bool NeedsKick()
    {
        // Full fence: our index before its suppression.
        Interlocked.MemoryBarrier();
        ushort before = _publishedIndex;
        _publishedIndex = AvailableIndex;
        return HasEventIndex
            ? (ushort)(AvailableIndex - AvailableEvent - 1) < (ushort)(AvailableIndex - before)
            : !NoNotify;
    }

    /// <inheritdoc/>
    public override ushort Add(params ReadOnlySpan<GuestBuffer> buffers)
    {
        if (buffers.Length == 0 || buffers.Length > _free.Count)
        {
            throw new InvalidOperationException("no free descriptors");
        }

        ushort head = _free.Peek();
        for (int i = 0; i < buffers.Length; i++)
        {
            ushort index = _free.Pop();
            bool more = i < buffers.Length - 1;
            ushort next = more ? _free.Peek() : (ushort)0;
            ushort flags = (ushort)((more ? Next : 0) | (buffers[i].IsWritable ? Write : 0));
            SetDescriptor(index, buffers[i].Address, buffers[i].Length, flags, next);
            _nextOf[index] = next;
            _chained[index] = more;
        }

        AddHead(head);
        return head;
    }

    /// <inheritdoc/>
    public override ushort AddIndirectAt(ulong table, params ReadOnlySpan<GuestBuffer> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            bool more = i < buffers.Length - 1;
            ushort flags = (ushort)((more ? Next : 0) | (buffers[i].IsWritable ? Write : 0));
            SetDescriptorAt(table + (16UL * (uint)i), buffers[i].Address, buffers[i].Length, flags, (ushort)(i + 1));
        }

        ushort head = _free.Pop();
        _chained[head] = false;
        SetDescriptor(head, table, 16 * (uint)buffers.Length, Indirect);
        AddHead(head);
        return head;
    }

    /// <inheritdoc/>
    public override bool TryTakeUsed(out uint id, out uint length)
    {
        id = 0;
        length = 0;
        if (!HasUsed)
        {
            return false;
        }

        ulong entry = Device + 4 + (8UL * (ushort)(LastUsed % Size));
        id = Ram.Read<uint>(entry);
        length = Ram.Read<uint>(entry + 4);
        LastUsed++;
        ushort index = (ushort)id;
        while (true)
        {
            bool chained = _chained[index];
            ushort next = _nextOf[index];
            _free.Push(index);
            if (!chained)
            {
                return true;
            }

            index = next;
        }
    }

    /// <inheritdoc/>
    public override void SetUsedEvent(int ahead) => UsedEvent = (ushort)(LastUsed + ahead);

    /// <inheritdoc/>
    /// <remarks>2.7.7.</remarks>
    public override bool EnableInterrupts()
    {
        if (HasEventIndex)
        {
            SetUsedEvent(0);
        }
        else
        {
            NoInterrupt = false;
        }

        // Full fence: our request before the device's index.
        Interlocked.MemoryBarrier();
        return HasUsed;
    }
}
