using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Testing.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Testing.Rings;

/// <summary>The driver's side of one packed virtqueue, written from virtio 1.2, 2.8: a guest's writes into its own memory.</summary>
/// <remarks>
/// Everything is public and raw enough to build rings that no decent driver would. Ids are no places: they are handed out on their own.
/// </remarks>
public sealed unsafe class PackedRingDriver : RingDriver
{
    /// <summary>AVAIL: toggles with the driver's wrap counter.</summary>
    public const ushort Available = 1 << 7;
    /// <summary>USED: toggles with the device's wrap counter.</summary>
    public const ushort Used = 1 << 15;

    private readonly Stack<ushort> _ids = new();
    private readonly ushort[] _slotsOf;
    private ulong _heldPlace;
    private ushort _heldFlags;
    private uint _added;
    private int _free;

    /// <summary>Places an empty ring.</summary>
    /// <param name="ram">RAM that the ring is allocated in.</param>
    /// <param name="size">Entries.</param>
    /// <param name="features">Features that were negotiated; that of packed rings is added.</param>
    /// <param name="index">The queue's index.</param>
    public PackedRingDriver(GuestRam ram, ushort size, ulong features = 0, int index = 0)
        : base(ram, size, features | RingFeatures.Packed, index)
    {
        _free = size;
        Driver = ram.Allocate(4, 4);
        Device = ram.Allocate(4, 4);
        _slotsOf = new ushort[size];
        for (int i = 0; i < size; i++)
        {
            _ids.Push((ushort)i);
        }
    }

    /// <inheritdoc/>
    public override int FreeDescriptors => _free;

    /// <summary>Slot of the next descriptor that will be made available.</summary>
    public uint NextAvailable { get; private set; }

    /// <summary>The driver's wrap counter.</summary>
    public bool AvailableWrap { get; private set; } = true;

    /// <summary>Slot in which the next used descriptor is expected.</summary>
    public uint NextUsed { get; private set; }

    /// <summary>The device's wrap counter, as it is expected.</summary>
    public bool UsedWrap { get; private set; } = true;

    /// <summary>AVAIL and USED of a descriptor that is available in the current lap.</summary>
    public ushort AvailableFlags => AvailableWrap ? Available : Used;

    /// <inheritdoc/>
    public override bool HasUsed
    {
        get
        {
            ushort flags = Volatile.Read(ref Unsafe.AsRef<ushort>(Ram.Pointer(PlaceOf(NextUsed) + 14, 2)));
            return ((flags & Available) != 0) == UsedWrap && ((flags & Used) != 0) == UsedWrap;
        }
    }

    /// <summary>The driver's event suppression: place and wrap counter below, flags above.</summary>
    public uint DriverEvent
    {
        get => Ram.Read<uint>(Driver);
        set => Volatile.Write(ref Unsafe.AsRef<uint>(Ram.Pointer(Driver, 4)), value);
    }

    /// <summary>The device's event suppression.</summary>
    public uint DeviceEvent => Volatile.Read(ref Unsafe.AsRef<uint>(Ram.Pointer(Device, 4)));

    /// <inheritdoc/>
    public override bool KicksDisabled => DeviceEvent == 1u << 16;

    /// <summary>Address of a slot's descriptor.</summary>
    /// <param name="slot">Place in the ring.</param>
    public ulong PlaceOf(uint slot) => Descriptors + (16UL * slot);

    /// <summary>Writes a descriptor of the ring.</summary>
    /// <param name="slot">Place in the ring.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes of the buffer.</param>
    /// <param name="flags">Flags as they stand in the ring.</param>
    /// <param name="id">Buffer id.</param>
    public void SetDescriptor(uint slot, ulong address, uint length, int flags, ushort id = 0) =>
        SetDescriptorAt(PlaceOf(slot), address, length, flags, id);

    /// <inheritdoc/>
    public override void SetDescriptorAt(ulong place, ulong address, uint length, int flags) => SetDescriptorAt(place, address, length, flags, 0);

    /// <summary>Writes a descriptor anywhere, as into an indirect table.</summary>
    /// <param name="place">Address of the descriptor.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Bytes of the buffer.</param>
    /// <param name="flags">Flags as they stand in the ring.</param>
    /// <param name="id">Buffer id.</param>
    public void SetDescriptorAt(ulong place, ulong address, uint length, int flags, ushort id)
    {
        Ram.Write(place, address);
        Ram.Write(place + 8, length);
        Ram.Write(place + 12, id);
        Ram.Write(place + 14, (ushort)flags);
    }

    /// <inheritdoc/>
    public override void SetChain(params ReadOnlySpan<RawDescriptor> descriptors)
    {
        for (int i = 0; i < descriptors.Length; i++)
        {
            SetDescriptor((uint)i, descriptors[i].Address, descriptors[i].Length, descriptors[i].Flags | Available);
        }
    }

    /// <inheritdoc/>
    public override ushort Add(params ReadOnlySpan<GuestBuffer> buffers)
    {
        ushort id = TakeId(buffers.Length);
        for (int i = 0; i < buffers.Length; i++)
        {
            AddSlot(buffers[i].Address, buffers[i].Length, (i < buffers.Length - 1 ? Next : 0) | (buffers[i].IsWritable ? Write : 0), id);
        }

        return id;
    }

    /// <inheritdoc/>
    public override ushort AddIndirectAt(ulong table, params ReadOnlySpan<GuestBuffer> buffers)
    {
        for (int i = 0; i < buffers.Length; i++)
        {
            // The id is reserved inside a table.
            SetDescriptorAt(table + (16UL * (uint)i), buffers[i].Address, buffers[i].Length, buffers[i].IsWritable ? Write : 0, 0xdead);
        }

        ushort id = TakeId(1);
        AddSlot(table, 16 * (uint)buffers.Length, Indirect, id);
        return id;
    }

    /// <inheritdoc/>
    public override void Publish()
    {
        if (_heldPlace != 0)
        {
            // Release: everything else before the flags of the first descriptor.
            Volatile.Write(ref Unsafe.AsRef<ushort>(Ram.Pointer(_heldPlace + 14, 2)), _heldFlags);
            _heldPlace = 0;
        }
    }

    /// <inheritdoc/>
    /// <remarks>2.8.10.</remarks>
    public override bool NeedsKick()
    {
        // Full fence: our descriptors before its suppression.
        Interlocked.MemoryBarrier();
        uint added = _added;
        _added = 0;
        uint wish = DeviceEvent;
        if (wish >> 16 != 2)
        {
            return wish >> 16 == 0;
        }

        int wanted = (int)(wish & 0x7fff) - ((wish & 0x8000) != 0 == AvailableWrap ? 0 : Size);
        int after = (int)NextAvailable - wanted - 1;
        return after >= 0 && after < added;
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

        ulong place = PlaceOf(NextUsed);
        length = Ram.Read<uint>(place + 8);
        id = Ram.Read<ushort>(place + 12);
        NextUsed += _slotsOf[id];
        if (NextUsed >= Size)
        {
            NextUsed -= Size;
            UsedWrap = !UsedWrap;
        }

        _free += _slotsOf[id];
        _slotsOf[id] = 0;
        _ids.Push((ushort)id);
        return true;
    }

    /// <inheritdoc/>
    /// <remarks>Up to a lap ahead; counted in descriptors.</remarks>
    public override void SetUsedEvent(int ahead)
    {
        uint place = NextUsed + (uint)ahead;
        bool wrap = UsedWrap ^ (place >= Size);
        DriverEvent = (place % Size) | (wrap ? 0x8000u : 0) | (2u << 16);
    }

    /// <inheritdoc/>
    public override bool EnableInterrupts()
    {
        if (HasEventIndex)
        {
            SetUsedEvent(0);
        }
        else
        {
            DriverEvent = 0;
        }

        // Full fence: our request before the device's descriptor.
        Interlocked.MemoryBarrier();
        return HasUsed;
    }

    private ushort TakeId(int slots)
    {
        if (slots == 0 || slots > FreeDescriptors)
        {
            throw new InvalidOperationException("no free descriptors");
        }

        ushort id = _ids.Pop();
        _slotsOf[id] = (ushort)slots;
        _free -= slots;
        return id;
    }

    private void AddSlot(ulong address, uint length, int flags, ushort id)
    {
        ulong place = PlaceOf(NextAvailable);
        flags |= AvailableFlags;
        Ram.Write(place, address);
        Ram.Write(place + 8, length);
        Ram.Write(place + 12, id);
        if (_heldPlace == 0)
        {
            _heldPlace = place;
            _heldFlags = (ushort)flags;
        }
        else
        {
            Ram.Write(place + 14, (ushort)flags);
        }

        _added++;
        if (++NextAvailable == Size)
        {
            NextAvailable = 0;
            AvailableWrap = !AvailableWrap;
        }
    }
}
