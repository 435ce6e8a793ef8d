using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.DeviceModel.Bus;

/// <summary>What an address space has registered with the hypervisor: memory slots and doorbells. Changes it to what a new view wants.</summary>
/// <remarks>Used under the space's lock. What stays the same is not touched; a failure restores what was (PCI-6).</remarks>
internal sealed class HypervisorRegistrations
{
    private const ulong PageSize = 4096;

    private readonly AddressSpaceKind _kind;
    private readonly string _space;
    private readonly IMemorySlots? _memorySlots;
    private readonly IDoorbells? _doorbellSeam;
    private readonly ILogger _logger;
    private readonly Dictionary<SlotKey, IDisposable> _slots = [];
    private readonly HashSet<SlotKey> _dispatchedSlots = [];
    private readonly Dictionary<DoorbellKey, IDisposable?> _doorbells = [];
    private readonly Stack<Action> _undo = new();
    private readonly TokenBucket _doorbellReports = new();
    private readonly TokenBucket _slotReports = new();
    private long _refusedDoorbells;
    private long _refusedSlots;
    private long _failedRollbacks;

    public HypervisorRegistrations(AddressSpaceOptions options, ILogger logger)
    {
        _kind = options.Kind;
        _space = options.Name;
        _memorySlots = options.MemorySlots;
        _doorbellSeam = options.Doorbells;
        _logger = logger;
    }

    /// <summary>How often a doorbell was refused.</summary>
    public long RefusedDoorbells => Volatile.Read(ref _refusedDoorbells);

    /// <summary>How often a slot was refused whose accesses are dispatched since.</summary>
    public long RefusedSlots => Volatile.Read(ref _refusedSlots);

    /// <summary>How often a registration could not be restored while a change was undone.</summary>
    public long FailedRollbacks => Volatile.Read(ref _failedRollbacks);

    /// <summary>
    /// Makes the registrations match a view that is about to be published. In between, an access to something that is registered no more, or not yet,
    /// exits and is dispatched by the old view: it sees the old map or the new one.
    /// </summary>
    /// <param name="segments">The new view.</param>
    /// <param name="doorbells">All doorbells and their addresses.</param>
    /// <exception cref="HostException">A slot was refused that may not be dispatched; all is as it was before.</exception>
    public void Change(FlatSegment[] segments, List<(DoorbellClaim Doorbell, ulong Address)> doorbells)
    {
        Dictionary<SlotKey, MemoryClaim> slots = WantedSlots(segments);
        List<DoorbellKey> bells = WantedDoorbells(segments, doorbells);
        try
        {
            var keptBells = new HashSet<DoorbellKey>(bells);
            foreach (DoorbellKey stale in Missing(_doorbells.Keys, keptBells))
            {
                RemoveDoorbell(stale);
            }

            foreach (SlotKey stale in Missing(_slots.Keys, slots.Keys))
            {
                RemoveSlot(stale);
            }

            foreach ((SlotKey slot, MemoryClaim claim) in slots)
            {
                if (!_slots.ContainsKey(slot))
                {
                    AddSlot(slot, claim);
                }
            }

            foreach (DoorbellKey bell in bells)
            {
                if (!_doorbells.ContainsKey(bell))
                {
                    AddDoorbell(bell);
                }
            }
        }
        catch
        {
            while (_undo.TryPop(out Action? undo))
            {
                undo();
            }

            throw;
        }

        // Certain now: what is dispatched and wanted no more need not be remembered.
        _dispatchedSlots.IntersectWith(slots.Keys);
        _undo.Clear();
    }

    private static List<T> Missing<T>(IEnumerable<T> present, ICollection<T> wanted)
    {
        var missing = new List<T>();
        foreach (T item in present)
        {
            if (!wanted.Contains(item))
            {
                missing.Add(item);
            }
        }

        return missing;
    }

    private Dictionary<SlotKey, MemoryClaim> WantedSlots(FlatSegment[] segments)
    {
        // Enumerated in order of adding, since nothing is removed.
        var wanted = new Dictionary<SlotKey, MemoryClaim>();
        if (_memorySlots is null || _kind != AddressSpaceKind.Memory)
        {
            return wanted;
        }

        foreach (FlatSegment segment in segments)
        {
            if (segment.Claim is not MemoryClaim memory)
            {
                continue;
            }

            // Whole pages only: what is visible of a page in part is dispatched, and so is memory that is not page-aligned on the host.
            ulong skipped = (0 - segment.Start) & (PageSize - 1);
            ulong lengthLessOne = segment.Last - segment.Start;
            if (lengthLessOne < skipped || lengthLessOne - skipped < PageSize - 1)
            {
                continue;
            }

            ulong start = segment.Start + skipped;
            ulong pages = ((segment.Last - start) / PageSize) + ((segment.Last & (PageSize - 1)) == PageSize - 1 ? 1UL : 0UL);
            nint host = memory.Host + (nint)(start - segment.Base);
            if (pages > 0 && ((ulong)host & (PageSize - 1)) == 0)
            {
                wanted.Add(new SlotKey(start, pages * PageSize, host, memory.ReadOnly, memory.IsRam), memory);
            }
        }

        return wanted;
    }

    private List<DoorbellKey> WantedDoorbells(FlatSegment[] segments, List<(DoorbellClaim Doorbell, ulong Address)> doorbells)
    {
        var wanted = new List<DoorbellKey>();
        if (_doorbellSeam is null)
        {
            return wanted;
        }

        foreach ((DoorbellClaim doorbell, ulong address) in doorbells)
        {
            FlatSegment segment = FlatView.Search(segments, address);
            if (ReferenceEquals(segment.Claim, doorbell.Over) && segment.Last - address >= (ulong)doorbell.Width - 1)
            {
                wanted.Add(new DoorbellKey(doorbell, address));
            }
        }

        return wanted;
    }

    private void RemoveSlot(SlotKey key)
    {
        _slots[key].Dispose();
        _slots.Remove(key);
        _undo.Push(() => RestoreSlot(key));
    }

    private void AddSlot(SlotKey key, MemoryClaim claim)
    {
        bool wasDispatched = _dispatchedSlots.Contains(key);
        try
        {
            _slots.Add(key, Map(key));
        }
        catch (HostException exception) when (wasDispatched || claim.MayDispatch)
        {
            // What was refused before, or could not be restored, goes on being dispatched and hinders no other change.
            if (!wasDispatched)
            {
                DispatchSlot(key, claim, exception);
            }

            return;
        }

        _undo.Push(() => Undo("slot", key.Address, () =>
        {
            _slots.Remove(key, out IDisposable? slot);
            slot!.Dispose();
        }));
        if (_dispatchedSlots.Remove(key))
        {
            _undo.Push(() => _dispatchedSlots.Add(key));
        }
    }

    private void DispatchSlot(SlotKey key, MemoryClaim claim, HostException reason)
    {
        _dispatchedSlots.Add(key);
        _undo.Push(() => _dispatchedSlots.Remove(key));
        Interlocked.Increment(ref _refusedSlots);
        if (_slotReports.TryTake(out long suppressed))
        {
            Log.SlotRefused(_logger, _space, claim.Name, key.Address, reason.Message, suppressed);
        }
    }

    private void RestoreSlot(SlotKey key)
    {
        if (!Undo("slot", key.Address, () => _slots.Add(key, Map(key))))
        {
            _dispatchedSlots.Add(key);
        }
    }

    private IDisposable Map(SlotKey key) => _memorySlots!.Map(key.Address, key.Length, key.Host, key.ReadOnly, key.IsRam);

    private void RemoveDoorbell(DoorbellKey key)
    {
        _doorbells[key]?.Dispose();
        _doorbells.Remove(key);
        _undo.Push(() => Undo("doorbell", key.Address, () => AddDoorbellOrDispatch(key)));
    }

    private void AddDoorbell(DoorbellKey key)
    {
        AddDoorbellOrDispatch(key);
        _undo.Push(() => Undo("doorbell", key.Address, () =>
        {
            _doorbells.Remove(key, out IDisposable? registration);
            registration?.Dispose();
        }));
    }

    private void AddDoorbellOrDispatch(DoorbellKey key)
    {
        DoorbellClaim doorbell = key.Doorbell;
        IDisposable? registration = null;
        try
        {
            registration = _doorbellSeam!.Register(_kind, key.Address, doorbell.Width, doorbell.DataMatch, doorbell.Target);
        }
        catch (HostException exception)
        {
            Interlocked.Increment(ref _refusedDoorbells);
            if (_doorbellReports.TryTake(out long suppressed))
            {
                Log.DoorbellRefused(_logger, _space, doorbell.Name, key.Address, exception.Message, suppressed);
            }
        }

        _doorbells.Add(key, registration);
    }

    private bool Undo(string kind, ulong address, Action step)
    {
        try
        {
            step();
            return true;
        }
        catch (Exception exception)
        {
            Interlocked.Increment(ref _failedRollbacks);
            Log.RollbackFailed(_logger, exception, _space, kind, address);
            return false;
        }
    }

    private readonly record struct SlotKey(ulong Address, ulong Length, nint Host, bool ReadOnly, bool IsRam);

    private readonly record struct DoorbellKey(DoorbellClaim Doorbell, ulong Address);
}
