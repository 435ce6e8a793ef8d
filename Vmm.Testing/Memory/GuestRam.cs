using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Memory;

namespace Vmm.Testing.Memory;

/// <summary>Guest RAM: regions where the test wants them, an allocator in the first that never frees, and plain reads and writes.</summary>
/// <remarks>
/// Reads and writes may come from any thread; regions are added and removed, and room is allocated, from one. An address outside RAM throws: the test
/// stands on the guest's side and knows its own memory.
/// </remarks>
public sealed unsafe class GuestRam : IDisposable
{
    private readonly List<(GuestMemoryRegion Region, HostMemory Memory)> _regions = [];
    private ulong _next;

    /// <summary>Makes RAM.</summary>
    /// <param name="regions">Page-aligned guest-physical addresses and lengths in bytes; without any, 64 MiB from address 0.</param>
    public GuestRam(params (ulong Address, ulong Length)[] regions)
    {
        foreach ((ulong address, ulong length) in regions.Length != 0 ? regions : [(0, 64UL << 20)])
        {
            AddRegion(address, length);
        }

        // Address 0 is left out, so that forgotten addresses show.
        _next = _regions[0].Region.Address + 0x1000;
        Dma = new DmaTarget(Memory);
    }

    /// <summary>The memory as devices are given it.</summary>
    public GuestMemory Memory { get; } = new();

    /// <summary>The DMA target of a device without a function; of a function there is one for each.</summary>
    public DmaTarget Dma { get; }

    /// <summary>Adds a region of zeros.</summary>
    /// <param name="address">Page-aligned guest-physical address.</param>
    /// <param name="length">Bytes, whole pages.</param>
    public GuestMemoryRegion AddRegion(ulong address, ulong length)
    {
        var memory = HostMemory.AllocateAnonymous(length);
        GuestMemoryRegion region = Memory.Add(address, memory, 0, length);
        _regions.Add((region, memory));
        return region;
    }

    /// <summary>The region that begins at an address.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <exception cref="ArgumentOutOfRangeException">None begins there.</exception>
    public GuestMemoryRegion Region(ulong address) => _regions.Find(r => r.Region.Address == address).Region
        ?? throw new ArgumentOutOfRangeException(nameof(address), $"no region begins at 0x{address:x}");

    /// <summary>Removes a region and unmaps it.</summary>
    /// <param name="region">One of this RAM.</param>
    public void RemoveRegion(GuestMemoryRegion region)
    {
        int index = _regions.FindIndex(r => r.Region == region);
        Memory.Remove(region);
        _regions[index].Memory.Dispose();
        _regions.RemoveAt(index);
    }

    /// <summary>Gives room in the first region that nobody was given before.</summary>
    /// <param name="length">Bytes.</param>
    /// <param name="alignment">Power of two.</param>
    /// <exception cref="InvalidOperationException">The first region is used up.</exception>
    public ulong Allocate(ulong length, ulong alignment = 16)
    {
        ulong address = (_next + alignment - 1) & ~(alignment - 1);
        _next = address + length;
        if (_next > _regions[0].Region.Address + _regions[0].Region.Length)
        {
            throw new InvalidOperationException("the first region of the RAM is used up");
        }

        return address;
    }

    /// <summary>Where the next allocation begins, before it is aligned.</summary>
    public ulong Mark => _next;

    /// <summary>Gives back what was allocated since, and clears it.</summary>
    /// <param name="mark">A former <see cref="Mark"/>.</param>
    public void Rewind(ulong mark)
    {
        new Span<byte>(Pointer(mark, _next - mark), (int)(_next - mark)).Clear();
        _next = mark;
    }

    /// <summary>The host address of bytes in one region, valid until the region is removed.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes that must lie in the region.</param>
    public byte* Pointer(ulong address, ulong length = 1)
    {
        foreach ((GuestMemoryRegion region, HostMemory memory) in _regions)
        {
            if (address >= region.Address && GuestRange.Fits(address - region.Address, length, region.Length))
            {
                return memory.Pointer + (address - region.Address);
            }
        }

        throw new ArgumentOutOfRangeException(nameof(address), $"0x{address:x} + {length} is not in one region");
    }

    /// <summary>Copies bytes, across regions that touch.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes.</param>
    public byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        if (!Memory.TryRead(address, bytes))
        {
            throw new ArgumentOutOfRangeException(nameof(address));
        }

        return bytes;
    }

    /// <summary>Reads a value in the host's byte order, which is the guest's.</summary>
    /// <typeparam name="T">An integer or a structure of them.</typeparam>
    /// <param name="address">Guest-physical address, of any alignment.</param>
    public T Read<T>(ulong address)
        where T : unmanaged => Unsafe.ReadUnaligned<T>(Pointer(address, (ulong)sizeof(T)));

    /// <summary>Writes a value in the host's byte order, which is the guest's.</summary>
    /// <typeparam name="T">An integer or a structure of them.</typeparam>
    /// <param name="address">Guest-physical address, of any alignment.</param>
    /// <param name="value">The value.</param>
    public void Write<T>(ulong address, T value)
        where T : unmanaged => Unsafe.WriteUnaligned(Pointer(address, (ulong)sizeof(T)), value);

    /// <summary>Writes bytes, across regions that touch.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="bytes">The content.</param>
    public void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        if (!Memory.TryWrite(address, bytes))
        {
            throw new ArgumentOutOfRangeException(nameof(address));
        }
    }

    /// <summary>Allocates room and fills it.</summary>
    /// <param name="bytes">The content.</param>
    /// <returns>Its guest-physical address.</returns>
    public ulong Place(ReadOnlySpan<byte> bytes)
    {
        ulong address = Allocate((ulong)Math.Max(1, bytes.Length));
        Write(address, bytes);
        return address;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach ((_, HostMemory memory) in _regions)
        {
            memory.Dispose();
        }

        _regions.Clear();
    }
}
