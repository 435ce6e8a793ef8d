using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Memory;

/// <summary>Guest RAM as devices see it: regions that come and go while queues run (MEM-4).</summary>
/// <remarks>
/// Readers take <see cref="Current"/> inside a scope of <see cref="Domain"/> and may keep pointers only inside it; or keep them and compare
/// <see cref="Current"/> by reference at the start of every scope. <see cref="Remove"/> returns after the last scope that could have seen
/// the region has ended, so the mapping can be unmapped then; where a device's I/O goes on outside a scope, its region is pinned, and
/// <see cref="Remove"/> waits for that for <see cref="PinLimit"/> and then refuses (CON-2). Changes are serialised by a lock that readers never take; it is held while
/// listeners run, so that each is told of every change once and in order, and no change can be made from inside the domain.
/// </remarks>
public sealed unsafe partial class GuestMemory
{
    private readonly Lock _changes = new();
    private readonly List<IGuestMemoryListener> _listeners = [];
    private GuestMemoryMap _current = new([]);
    private IDirtyTracker? _dirtyTracker;

    /// <summary>
    /// The readers that removal waits for. A domain of its own, never the bus's: a worker may be inside while the host reads or writes its
    /// disk, and no change of an address space may wait for that.
    /// </summary>
    public AccessDomain Domain { get; } = new();

    /// <summary>How long a removal waits for the I/O of devices before it is refused; 1 second unless set.</summary>
    public TimeSpan PinLimit { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The map as it is now (one volatile read).</summary>
    public GuestMemoryMap Current => Volatile.Read(ref _current);

    /// <summary>
    /// Told of guest memory that devices write, once the bytes are there; null while nobody tracks it (MEM-5). A change returns when everybody who
    /// was inside the domain has left: what is written from then on goes to the new tracker, and the old one is not called any more. Memory that is
    /// copied after the change, and again where it is marked, is therefore complete.
    /// </summary>
    /// <exception cref="InvalidOperationException">Set from inside the domain.</exception>
    public IDirtyTracker? DirtyTracker
    {
        get => Volatile.Read(ref _dirtyTracker);
        set
        {
            Domain.ThrowIfInside();
            Volatile.Write(ref _dirtyTracker, value);
            Domain.Synchronize();
        }
    }

    /// <summary>Adds RAM.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="memory">The mapping; it must outlive the region.</param>
    /// <param name="offset">Start in the mapping.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentException">
    /// The range is empty, wraps, overlaps a region or does not lie in the mapping, which must be writable.
    /// </exception>
    /// <exception cref="InvalidOperationException">Called from inside the domain.</exception>
    /// <exception cref="HostException">A listener's kernel refused; the memory is as before.</exception>
    public GuestMemoryRegion Add(ulong address, HostMemory memory, ulong offset, ulong length)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentOutOfRangeException.ThrowIfZero(length);
        if (!GuestRange.TryCreate(address, length, out _))
        {
            throw new ArgumentException($"0x{address:x} + 0x{length:x} wraps the address space", nameof(length));
        }

        if (!GuestRange.Fits(offset, length, memory.Length))
        {
            throw new ArgumentException("the region does not lie inside the mapping", nameof(length));
        }

        memory.RequireWritable(true);
        var added = new GuestMemoryRegion(address, length, memory, offset);
        Domain.ThrowIfInside();
        lock (_changes)
        {
            foreach (GuestMemoryRegion region in _current.Regions)
            {
                if (region.Address <= address + (length - 1) && address <= region.Address + (region.Length - 1))
                {
                    throw new ArgumentException($"0x{address:x} + 0x{length:x} overlaps the region at 0x{region.Address:x}", nameof(address));
                }
            }

            // Listeners first, so that no device finds memory that its IOMMU does not know yet.
            TellAdded(added);
            Volatile.Write(ref _current, new([.. _current.Regions.Append(added).OrderBy(r => r.Address)]));
        }

        return added;
    }

    /// <summary>Removes RAM; returns when nobody uses it any more. Not from inside the domain.</summary>
    /// <param name="region">A region of this memory.</param>
    /// <exception cref="ArgumentException">The region is not one of this memory.</exception>
    /// <exception cref="PinnedMemoryException">I/O into it did not end within <see cref="PinLimit"/>; the memory is as before.</exception>
    public void Remove(GuestMemoryRegion region) => RemoveAfter(region, null);

    /// <summary>Removes RAM together with what else shows it.</summary>
    /// <param name="region">A region of this memory.</param>
    /// <param name="release">Runs when no device uses the region any more; if it throws, the memory is as before.</param>
    internal void RemoveAfter(GuestMemoryRegion region, Action? release)
    {
        ArgumentNullException.ThrowIfNull(region);
        Domain.ThrowIfInside();
        lock (_changes)
        {
            GuestMemoryMap before = _current;
            if (!before.Regions.Contains(region))
            {
                throw new ArgumentException("not a region of this memory", nameof(region));
            }

            // While I/O that is stuck pins it, nothing is disturbed: a ring in RAM that is gone for a moment would be broken for good.
            long start = Environment.TickCount64;
            WaitUntilUnpinned(region, start);
            Volatile.Write(ref _current, new([.. before.Regions.Where(r => r != region)]));
            try
            {
                // Nobody pins it any more who is not inside now.
                Domain.Synchronize();
                WaitUntilUnpinned(region, start);
                release?.Invoke();
            }
            catch
            {
                Volatile.Write(ref _current, before);
                throw;
            }

            foreach (IGuestMemoryListener listener in _listeners)
            {
                listener.Removed(region);
            }
        }
    }

    /// <summary>Tells a listener of every region there is and of every change from now on.</summary>
    /// <param name="listener">Who is told.</param>
    /// <returns>Ends it when disposed; the listener is then told of the removal of every region it knows.</returns>
    /// <exception cref="InvalidOperationException">Called from inside the domain.</exception>
    /// <exception cref="HostException">The listener's kernel refused a region; it is told of the removal of the others.</exception>
    public IDisposable AddListener(IGuestMemoryListener listener)
    {
        ArgumentNullException.ThrowIfNull(listener);
        Domain.ThrowIfInside();
        lock (_changes)
        {
            int told = 0;
            StopDiscarding();
            try
            {
                foreach (GuestMemoryRegion region in _current.Regions)
                {
                    listener.Added(region);
                    told++;
                }
            }
            catch
            {
                foreach (GuestMemoryRegion region in _current.Regions.Take(told).Reverse())
                {
                    listener.Removed(region);
                }

                GoOnDiscarding();

                throw;
            }

            _listeners.Add(listener);
        }

        return new Listening(this, listener);
    }

    /// <summary>
    /// Copies guest bytes out, piecewise across regions. Enters the domain itself; callable from any thread, also from a region's handler.
    /// </summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="destination">Where to.</param>
    /// <returns>False, and nothing promised about the destination, if any byte is not RAM.</returns>
    public bool TryRead(ulong address, Span<byte> destination)
    {
        using AccessDomain.ReadScope scope = Domain.Enter();
        GuestMemoryMap map = Current;
        if (!GuestRange.TryCreate(address, (ulong)destination.Length, out _))
        {
            return false;
        }

        while (destination.Length > 0)
        {
            int run = (int)map.GetContiguous(address, (ulong)destination.Length, out byte* host);
            if (run == 0)
            {
                return false;
            }

            new ReadOnlySpan<byte>(host, run).CopyTo(destination);
            destination = destination[run..];
            address += (ulong)run;
        }

        return true;
    }

    /// <summary>
    /// Copies bytes into the guest, piecewise across regions; marks them dirty when tracking is on. Enters the domain itself; callable from any
    /// thread, also from a region's handler.
    /// </summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="source">What to write.</param>
    /// <returns>False, with nothing written, if any byte is not RAM.</returns>
    public bool TryWrite(ulong address, ReadOnlySpan<byte> source)
    {
        using AccessDomain.ReadScope scope = Domain.Enter();
        GuestMemoryMap map = Current;
        if (!map.Contains(address, (ulong)source.Length))
        {
            return false;
        }

        ulong start = address;
        ulong length = (ulong)source.Length;
        while (source.Length > 0)
        {
            int run = (int)map.GetContiguous(address, (ulong)source.Length, out byte* host);
            source[..run].CopyTo(new Span<byte>(host, run));
            source = source[run..];
            address += (ulong)run;
        }

        // After the bytes are there: whoever collects the marks in between copies the page once more.
        DirtyTracker?.MarkDirty(start, length);
        return true;
    }

    private void WaitUntilUnpinned(GuestMemoryRegion region, long start)
    {
        var wait = default(PollingWait);
        while (region.PinCount != 0)
        {
            if (Environment.TickCount64 - start >= PinLimit.TotalMilliseconds)
            {
                throw new PinnedMemoryException(region);
            }

            wait.Once();
        }
    }

    private void TellAdded(GuestMemoryRegion region)
    {
        int told = 0;
        try
        {
            for (; told < _listeners.Count; told++)
            {
                _listeners[told].Added(region);
            }
        }
        catch
        {
            while (told-- > 0)
            {
                _listeners[told].Removed(region);
            }

            throw;
        }
    }

    private void RemoveListener(IGuestMemoryListener listener)
    {
        Domain.ThrowIfInside();
        lock (_changes)
        {
            if (_listeners.Remove(listener))
            {
                foreach (GuestMemoryRegion region in _current.Regions.Reverse())
                {
                    listener.Removed(region);
                }

                GoOnDiscarding();
            }
        }
    }

    private sealed class Listening(GuestMemory memory, IGuestMemoryListener listener) : IDisposable
    {
        private GuestMemory? _memory = memory;

        public void Dispose() => Interlocked.Exchange(ref _memory, null)?.RemoveListener(listener);
    }
}
