using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>The driver's side of one split virtqueue, written from virtio 1.2, 2.7: what a guest does to its own memory.</summary>
/// <remarks>Everything is public and raw enough to build rings that no decent driver would.</remarks>
public sealed unsafe class GuestDriver
{
    public const ushort Next = 1;
    public const ushort Write = 2;
    public const ushort Indirect = 4;

    private readonly Stack<ushort> _free = new();
    private readonly ushort[] _nextOf;
    private readonly bool[] _chained;
    private ushort _publishedIndex;

    public GuestDriver(GuestRam ram, ushort size, ulong features = 0, int index = 0)
    {
        Ram = ram;
        Size = size;
        Features = features;
        Index = index;
        Descriptors = ram.Allocate(16UL * size, 16);
        Driver = ram.Allocate(6 + (2UL * size), 2);
        Device = ram.Allocate(6 + (8UL * size), 4);
        _nextOf = new ushort[size];
        _chained = new bool[size];
        for (int i = size - 1; i >= 0; i--)
        {
            _free.Push((ushort)i);
        }
    }

    public GuestRam Ram { get; }

    public ushort Size { get; }

    public ulong Features { get; }

    public int Index { get; }

    public ulong Descriptors { get; }

    public ulong Driver { get; }

    public ulong Device { get; }

    public int FreeDescriptors => _free.Count;

    /// <summary>The head that the next chain will have.</summary>
    public ushort NextHead => _free.Peek();

    /// <summary>Index of the next available entry that will be published.</summary>
    public ushort AvailableIndex { get; set; }

    /// <summary>Used entries taken so far.</summary>
    public ushort LastUsed { get; set; }

    public bool HasEventIndex => (Features & RingFeatures.EventIndex) != 0;

    public VirtqueueConfiguration Configuration => new()
    {
        Index = Index,
        Size = Size,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Features = Features,
    };

    public ushort UsedIndex => Volatile.Read(ref Unsafe.AsRef<ushort>(Ram.Pointer(Device + 2, 2)));

    public bool HasUsed => UsedIndex != LastUsed;

    /// <summary>avail.flags bit 0.</summary>
    public bool NoInterrupt
    {
        get => (Ram.Read<ushort>(Driver) & 1) != 0;
        set => Ram.Write(Driver, (ushort)(value ? 1 : 0));
    }

    /// <summary>used.flags bit 0.</summary>
    public bool NoNotify => (Ram.Read<ushort>(Device) & 1) != 0;

    public ushort UsedEvent
    {
        get => Ram.Read<ushort>(Driver + 4 + (2UL * Size));
        set => Ram.Write(Driver + 4 + (2UL * Size), value);
    }

    public ushort AvailableEvent => Ram.Read<ushort>(Device + 4 + (8UL * Size));

    public void SetDescriptor(int index, ulong address, uint length, ushort flags, ushort next = 0)
    {
        SetDescriptorAt(Descriptors + (16UL * (uint)index), address, length, flags, next);
    }

    public void SetDescriptorAt(ulong place, ulong address, uint length, ushort flags, ushort next = 0)
    {
        Ram.Write(place, address);
        Ram.Write(place + 8, length);
        Ram.Write(place + 12, flags);
        Ram.Write(place + 14, next);
    }

    /// <summary>Puts a head into the next available entry, without publishing the index.</summary>
    public void AddHead(ushort head)
    {
        Ram.Write(Driver + 4 + (2UL * (ushort)(AvailableIndex % Size)), head);
        AvailableIndex++;
    }

    /// <summary>Makes what was added visible to the device.</summary>
    public void Publish()
    {
        // Release: entries before the index.
        Volatile.Write(ref Unsafe.AsRef<ushort>(Ram.Pointer(Driver + 2, 2)), AvailableIndex);
    }

    /// <summary>Whether the device wants a notification for what was published since this was asked last (2.7.10).</summary>
    public bool NeedsKick()
    {
        // Full fence: our index before its suppression.
        Interlocked.MemoryBarrier();
        ushort before = _publishedIndex;
        _publishedIndex = AvailableIndex;
        return HasEventIndex
            ? (ushort)(AvailableIndex - AvailableEvent - 1) < (ushort)(AvailableIndex - before)
            : !NoNotify;
    }

    /// <summary>Adds a chain of direct descriptors.</summary>
    public ushort Add(params ReadOnlySpan<GuestBuffer> buffers)
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

    /// <summary>Adds a chain as an indirect table that is placed anew.</summary>
    public ushort AddIndirect(params ReadOnlySpan<GuestBuffer> buffers)
    {
        ulong table = Ram.Allocate(16UL * (uint)buffers.Length);
        return AddIndirectAt(table, buffers);
    }

    /// <summary>Adds a chain as an indirect table at an address.</summary>
    public ushort AddIndirectAt(ulong table, params ReadOnlySpan<GuestBuffer> buffers)
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

    /// <summary>Takes the next used entry and frees its descriptors.</summary>
    public bool TryTakeUsed(out uint id, out uint length)
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

    /// <summary>Asks for an interrupt at the next used entry; true if there are some already (2.7.7).</summary>
    public bool EnableInterrupts()
    {
        if (HasEventIndex)
        {
            UsedEvent = LastUsed;
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
