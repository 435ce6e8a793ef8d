using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>Gives out device addresses inside the ranges that the platform reports as valid (DRV-8).</summary>
/// <remarks>Thread-safe: one lock over the list of allocations, with nothing called under it. First fit.</remarks>
public sealed class IovaSpace
{
    private readonly Lock _lock = new();
    private readonly GuestRange[] _valid;
    private readonly ulong _granularity;
    private readonly SortedList<ulong, ulong> _allocated = [];

    /// <summary>Makes an empty space.</summary>
    /// <param name="valid">Usable ranges, in any order.</param>
    /// <param name="granularity">Smallest unit of mapping in bytes, a power of two.</param>
    public IovaSpace(IEnumerable<GuestRange> valid, ulong granularity = 0x1000)
    {
        ArgumentNullException.ThrowIfNull(valid);
        if (!BitOperations.IsPow2(granularity))
        {
            throw new ArgumentException($"granularity 0x{granularity:x} is not a power of two", nameof(granularity));
        }

        _granularity = granularity;
        _valid = [.. valid.Where(range => range.Length != 0).OrderBy(range => range.Address)];
    }

    /// <summary>Ranges given out now.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _allocated.Count;
            }
        }
    }

    /// <summary>Takes a range.</summary>
    /// <param name="length">Bytes, rounded up to the granularity.</param>
    /// <param name="alignment">A power of two; at least the granularity is kept.</param>
    /// <returns>The first address.</returns>
    /// <exception cref="IovaExhaustedException">No free range is long enough.</exception>
    public ulong Allocate(ulong length, ulong alignment = 1)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        if (!BitOperations.IsPow2(alignment))
        {
            throw new ArgumentException($"alignment 0x{alignment:x} is not a power of two", nameof(alignment));
        }

        ulong unit = Math.Max(alignment, _granularity);
        UInt128 size = ((UInt128)length + _granularity - 1) & ~(UInt128)(_granularity - 1);
        lock (_lock)
        {
            foreach (GuestRange range in _valid)
            {
                UInt128 end = (UInt128)range.Address + range.Length;
                UInt128 at = Align(range.Address, unit);
                foreach ((ulong taken, ulong takenLength) in _allocated)
                {
                    UInt128 takenEnd = (UInt128)taken + takenLength;
                    if (at + size <= taken)
                    {
                        break;
                    }

                    if (takenEnd > at)
                    {
                        at = Align(takenEnd, unit);
                    }
                }

                if (at + size <= end)
                {
                    _allocated.Add((ulong)at, (ulong)size);
                    return (ulong)at;
                }
            }
        }

        throw new IovaExhaustedException(length, alignment);
    }

    /// <summary>Gives a range back.</summary>
    /// <param name="address">What <see cref="Allocate"/> returned.</param>
    /// <exception cref="ArgumentException">No range starts there.</exception>
    public void Free(ulong address)
    {
        lock (_lock)
        {
            if (!_allocated.Remove(address))
            {
                throw new ArgumentException($"no range starts at IOVA 0x{address:x}", nameof(address));
            }
        }
    }

    /// <summary>Finds the allocation that holds a range, and where in it the range lies.</summary>
    /// <param name="address">First address of the range.</param>
    /// <param name="length">Bytes of the range.</param>
    /// <param name="start">First address of the allocation.</param>
    /// <param name="offset">Where in the allocation the range starts.</param>
    /// <returns>False if no single allocation holds all of it.</returns>
    public bool TryTranslate(ulong address, ulong length, out ulong start, out ulong offset)
    {
        lock (_lock)
        {
            foreach ((ulong taken, ulong size) in _allocated)
            {
                if (address >= taken && GuestRange.Fits(address - taken, length, size))
                {
                    (start, offset) = (taken, address - taken);
                    return true;
                }
            }
        }

        (start, offset) = (0, 0);
        return false;
    }

    private static UInt128 Align(UInt128 value, ulong unit) => (value + unit - 1) & ~(UInt128)(unit - 1);
}
