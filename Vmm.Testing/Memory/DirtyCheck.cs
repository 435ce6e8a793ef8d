using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Memory;

namespace Vmm.Testing.Memory;

/// <summary>Compares what changed in guest RAM with what a tracker was told (MEM-5). Marks may come from any thread.</summary>
public sealed class DirtyCheck : IDirtyTracker
{
    private readonly GuestRam _ram;
    private readonly byte[] _before;
    private readonly List<(ulong Address, ulong Length)> _marks = [];

    /// <summary>Takes RAM as it is and tracks from now on.</summary>
    /// <param name="ram">RAM that begins at 0.</param>
    /// <param name="length">Bytes that are looked at.</param>
    public DirtyCheck(GuestRam ram, int length)
    {
        _ram = ram;
        ram.Memory.DirtyTracker = this;
        _before = ram.Read(0, length);
    }

    /// <inheritdoc/>
    public void MarkDirty(ulong address, ulong length)
    {
        lock (_marks)
        {
            _marks.Add((address, length));
        }
    }

    /// <summary>Ends tracking.</summary>
    /// <returns>Addresses of the bytes that were marked, and of those that changed: each changed one must be marked.</returns>
    /// <exception cref="InvalidOperationException">A mark lies outside the RAM that was looked at: it was no guest-physical address.</exception>
    public (HashSet<int> Marked, List<int> Changed) End()
    {
        _ram.Memory.DirtyTracker = null;
        byte[] after = _ram.Read(0, _before.Length);
        HashSet<int> marked = [];
        foreach ((ulong address, ulong length) in _marks)
        {
            if (!GuestRange.Fits(address, length, (ulong)_before.Length))
            {
                throw new InvalidOperationException($"0x{address:x} + {length} was marked: marks are guest-physical addresses of RAM");
            }

            marked.UnionWith(Enumerable.Range((int)address, (int)length));
        }

        return (marked, [.. Enumerable.Range(0, after.Length).Where(i => after[i] != _before[i])]);
    }
}
