using System;
using System.Collections.Generic;
using System.Numerics;
using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Host;

/// <summary>A range that the host bridge forwards to its bus, and the allocator that BARs get their first addresses from (PCI-14).</summary>
/// <remarks>Thread-safe by a lock of its own, under which nothing is called. Free ranges are kept sorted and merged, so nothing drifts.</remarks>
public sealed class PciWindow
{
    private readonly Lock _lock = new();
    private readonly List<(ulong First, ulong Last)> _free;
    private readonly Dictionary<ulong, ulong> _taken = [];

    /// <summary>Describes a window.</summary>
    /// <param name="kind">Memory or ports.</param>
    /// <param name="baseAddress">First address.</param>
    /// <param name="length">Bytes, at least 1; ports end at 0xffff.</param>
    /// <exception cref="ArgumentException">The range is empty or leaves the space.</exception>
    public PciWindow(AddressSpaceKind kind, ulong baseAddress, ulong length)
    {
        ulong last = kind == AddressSpaceKind.Port ? 0xffff : ulong.MaxValue;
        if (length == 0 || baseAddress > last || length - 1 > last - baseAddress)
        {
            throw new ArgumentException($"0x{length:x} bytes at 0x{baseAddress:x} are no window of {kind} space", nameof(length));
        }

        Kind = kind;
        Base = baseAddress;
        Last = baseAddress + (length - 1);
        _free = [(Base, Last)];
    }

    /// <summary>Memory or ports.</summary>
    public AddressSpaceKind Kind { get; }

    /// <summary>First address.</summary>
    public ulong Base { get; }

    /// <summary>Last address, inclusive.</summary>
    public ulong Last { get; }

    /// <summary>True if the whole window lies below 4 GiB.</summary>
    public bool IsBelow4GiB => Last <= uint.MaxValue;

    /// <summary>Bytes that are not allocated.</summary>
    public ulong FreeBytes
    {
        get
        {
            lock (_lock)
            {
                ulong sum = 0;
                foreach ((ulong first, ulong last) in _free)
                {
                    sum += last - first + 1;
                }

                return sum;
            }
        }
    }

    /// <summary>True if the window forwards all of a range.</summary>
    /// <param name="address">First address.</param>
    /// <param name="length">Bytes, at least 1.</param>
    public bool Contains(ulong address, ulong length) => address >= Base && address <= Last && length - 1 <= Last - address;

    /// <summary>Takes a range, aligned to its size, from the lowest place that has room.</summary>
    /// <param name="size">Bytes, a power of two.</param>
    /// <param name="address">Its first address.</param>
    /// <returns>False if there is no room.</returns>
    public bool TryAllocate(ulong size, out ulong address)
    {
        if (!BitOperations.IsPow2(size))
        {
            throw new ArgumentException($"0x{size:x} is not a power of two", nameof(size));
        }

        lock (_lock)
        {
            for (int i = 0; i < _free.Count; i++)
            {
                (ulong first, ulong last) = _free[i];
                ulong start = (first + (size - 1)) & ~(size - 1);
                if (start < first || start > last || size - 1 > last - start)
                {
                    continue;
                }

                ulong end = start + (size - 1);
                _free.RemoveAt(i);
                if (end < last)
                {
                    _free.Insert(i, (end + 1, last));
                }

                if (first < start)
                {
                    _free.Insert(i, (first, start - 1));
                }

                _taken.Add(start, size);
                address = start;
                return true;
            }
        }

        address = 0;
        return false;
    }

    /// <summary>Gives a range back.</summary>
    /// <param name="address">What <see cref="TryAllocate"/> gave.</param>
    /// <exception cref="ArgumentException">The address is not allocated.</exception>
    public void Free(ulong address)
    {
        lock (_lock)
        {
            if (!_taken.Remove(address, out ulong size))
            {
                throw new ArgumentException($"0x{address:x} is not allocated", nameof(address));
            }

            ulong first = address;
            ulong last = address + (size - 1);
            int at = 0;
            while (at < _free.Count && _free[at].First < first)
            {
                at++;
            }

            if (at < _free.Count && last + 1 == _free[at].First)
            {
                last = _free[at].Last;
                _free.RemoveAt(at);
            }

            if (at > 0 && _free[at - 1].Last + 1 == first)
            {
                first = _free[at - 1].First;
                _free.RemoveAt(--at);
            }

            _free.Insert(at, (first, last));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Kind} 0x{Base:x}-0x{Last:x}";
}
