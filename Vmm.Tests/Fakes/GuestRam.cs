using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.Fakes;

/// <summary>Guest RAM for tests: regions where the test wants them, a bump allocator in the first, and plain reads and writes.</summary>
public sealed unsafe class GuestRam : IDisposable
{
    private readonly List<(GuestMemoryRegion Region, HostMemory Memory)> _regions = [];
    private ulong _next;

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

    public GuestMemory Memory { get; } = new();

    public DmaTarget Dma { get; }

    public GuestMemoryRegion AddRegion(ulong address, ulong length)
    {
        HostMemory memory = HostMemory.AllocateAnonymous(length);
        GuestMemoryRegion region = Memory.Add(address, memory, 0, length);
        _regions.Add((region, memory));
        return region;
    }

    /// <summary>The region that begins at an address.</summary>
    public GuestMemoryRegion Region(ulong address) => _regions.Find(r => r.Region.Address == address).Region;

    /// <summary>Removes a region and unmaps it.</summary>
    public void RemoveRegion(GuestMemoryRegion region)
    {
        int index = _regions.FindIndex(r => r.Region == region);
        Memory.Remove(region);
        _regions[index].Memory.Dispose();
        _regions.RemoveAt(index);
    }

    public ulong Allocate(ulong length, ulong alignment = 16)
    {
        ulong address = (_next + alignment - 1) & ~(alignment - 1);
        _next = address + length;
        if (_next > _regions[0].Region.Address + _regions[0].Region.Length)
        {
            throw new InvalidOperationException("the test's RAM is used up");
        }

        return address;
    }

    /// <summary>The host address of bytes in one region.</summary>
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

    public byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        if (!Memory.TryRead(address, bytes))
        {
            throw new ArgumentOutOfRangeException(nameof(address));
        }

        return bytes;
    }

    public T Read<T>(ulong address)
        where T : unmanaged => Unsafe.ReadUnaligned<T>(Pointer(address, (ulong)sizeof(T)));

    public void Write<T>(ulong address, T value)
        where T : unmanaged => Unsafe.WriteUnaligned(Pointer(address, (ulong)sizeof(T)), value);

    public void Write(ulong address, ReadOnlySpan<byte> bytes)
    {
        if (!Memory.TryWrite(address, bytes))
        {
            throw new ArgumentOutOfRangeException(nameof(address));
        }
    }

    /// <summary>Allocates room and fills it.</summary>
    public ulong Place(ReadOnlySpan<byte> bytes)
    {
        ulong address = Allocate((ulong)Math.Max(1, bytes.Length));
        Write(address, bytes);
        return address;
    }

    public void Dispose()
    {
        foreach ((_, HostMemory memory) in _regions)
        {
            memory.Dispose();
        }

        _regions.Clear();
    }
}
