using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Bars;

/// <summary>How one BAR of a function on a bus is mapped now, and how it is to be mapped.</summary>
/// <remarks>
/// Used under the function's mapping lock. Only the list of doorbells has a lock of its own, so that a device can add and remove doorbells from
/// inside an access while another thread holds the mapping lock and waits for that access to end.
/// </remarks>
internal sealed class BarMapping(PciBar bar)
{
    private readonly Lock _doorbellLock = new();
    private readonly List<BarDoorbell> _doorbells = [];
    private readonly List<BarDoorbell> _current = [];
    private readonly List<(Claim Claim, ulong Offset, PciBarRegion? Region)> _claims = [];
    private Claim[] _blocking = [];
    private ulong? _failedAt;
    private ulong _mappedAt;
    private volatile bool _mapped;

    public PciBar Bar => bar;

    /// <summary>Where the BAR is to decode, or null.</summary>
    public ulong? Target { get; private set; }

    /// <summary>Where the BAR decodes, or null.</summary>
    public ulong? MappedAt
    {
        get => _mapped ? Volatile.Read(ref _mappedAt) : null;
        private set
        {
            Volatile.Write(ref _mappedAt, value ?? 0);
            _mapped = value is not null;
        }
    }

    public void Add(BarDoorbell doorbell)
    {
        lock (_doorbellLock)
        {
            _doorbells.Add(doorbell);
        }
    }

    /// <summary>Takes a removed doorbell off the list at once if it is not registered; else that follows when it has been unregistered.</summary>
    public void ForgetIfIdle(BarDoorbell doorbell)
    {
        lock (_doorbellLock)
        {
            if (!doorbell.IsRegistered)
            {
                _doorbells.Remove(doorbell);
            }
        }
    }

    public void CreateClaims(string place, string device)
    {
        string prefix = bar.Kind == PciBarKind.Rom
            ? $"{place} rom"
            : string.Create(CultureInfo.InvariantCulture, $"{place} bar{bar.Index}");
        if (bar.HasHoles)
        {
            // Every byte of a BAR belongs to it; a BAR that lies under another one shows through that one's holes.
            _claims.Add((new HandlerClaim(prefix, bar.Size, AllOnesRegion.Instance, ClaimPriority.Background) { Device = device }, 0, null));
        }

        foreach (PciBarRegion region in bar.Regions)
        {
            string name = $"{prefix} {region.Name}";
            Claim claim = region.Handler is { } handler
                ? new HandlerClaim(name, region.Length, handler) { Device = device, FaultOutlivesRemoval = true, IsBlocking = region.IsBlocking }
                : CreateMemoryClaim(name, device, region);
            _claims.Add((claim, region.Offset, region));
        }

        _blocking = [.. _claims.Select(static entry => entry.Claim).Where(static claim => claim.IsBlocking)];
    }

    /// <summary>
    /// Waits for the accesses to blocking regions that were in flight when the BAR was unmapped. Under no lock: these may take as long as the
    /// handlers do.
    /// </summary>
    public void WaitForBlockingCalls()
    {
        foreach (Claim? claim in Volatile.Read(ref _blocking))
        {
            claim.BlockingCalls?.Wait();
        }
    }

    public void DropClaims()
    {
        _claims.Clear();
        lock (_doorbellLock)
        {
            foreach (BarDoorbell doorbell in _doorbells)
            {
                doorbell.Claim = null;
            }
        }
    }

    /// <summary>Says where the BAR is to decode.</summary>
    /// <returns>True if something is to be done for it.</returns>
    public bool Retarget(ulong? target)
    {
        if (target is null || target != _failedAt)
        {
            _failedAt = null;
        }

        Target = _failedAt is null ? target : null;
        _current.Clear();
        lock (_doorbellLock)
        {
            _current.AddRange(_doorbells);
        }

        bool changes = Target != MappedAt;
        foreach (BarDoorbell doorbell in _current)
        {
            changes |= doorbell.IsRegistered != (Target is not null && !doorbell.IsRemoved);
        }

        return changes;
    }

    /// <summary>Puts the steps from <see cref="MappedAt"/> to <see cref="Target"/> into a transaction.</summary>
    public void Stage(AddressSpaceTransaction transaction)
    {
        if (MappedAt is not null && Target is null)
        {
            foreach ((Claim claim, _, _) in _claims)
            {
                transaction.Remove(claim);
            }

            return;
        }

        if (Target is not { } target)
        {
            return;
        }

        if (target != MappedAt)
        {
            foreach ((Claim claim, ulong offset, _) in _claims)
            {
                if (MappedAt is null)
                {
                    transaction.Add(claim, target + offset);
                }
                else
                {
                    transaction.Move(claim, target + offset);
                }
            }
        }

        foreach (BarDoorbell doorbell in _current)
        {
            StageDoorbell(transaction, doorbell);
        }
    }

    /// <summary>The staged steps have taken effect.</summary>
    public void Committed()
    {
        MappedAt = Target;
        foreach (BarDoorbell doorbell in _current)
        {
            SettleDoorbell(doorbell);
        }
    }

    /// <summary>Tries the steps of this BAR alone.</summary>
    /// <returns>Null, or why the BAR does not decode where the guest put it.</returns>
    public HostException? TryAlone(AddressSpace space)
    {
        try
        {
            AddressSpaceTransaction transaction = space.BeginTransaction();
            Stage(transaction);
            transaction.Commit(waitsForBlocking: false);
            Committed();
            return null;
        }
        catch (HostException e)
        {
            // The register keeps what the guest wrote; the BAR decodes neither there nor where it was (PCI-6).
            _failedAt = Target;
            Unmap(space);
            return e;
        }
    }

    /// <summary>Stops decoding, whatever the registers say.</summary>
    public void Unmap(AddressSpace? space)
    {
        if (MappedAt is null || space is null)
        {
            return;
        }

        AddressSpaceTransaction transaction = space.BeginTransaction();
        foreach ((Claim claim, _, _) in _claims)
        {
            transaction.Remove(claim);
        }

        transaction.Commit(waitsForBlocking: false);
        MappedAt = null;
        lock (_doorbellLock)
        {
            foreach (BarDoorbell doorbell in _doorbells)
            {
                doorbell.IsRegistered = false;
            }

            _doorbells.RemoveAll(static doorbell => doorbell.IsRemoved);
        }
    }

    private static MemoryClaim CreateMemoryClaim(string name, string device, PciBarRegion region)
    {
        IRegionHandler? access = region.HasOwnAccess ? region.Access : null;
        return new MemoryClaim(
            name, region.Memory!, region.MemoryOffset, region.Length, region.ReadOnly, ClaimPriority.Bar, access, mayDispatch: true)
        {
            Device = device,
            FaultOutlivesRemoval = true,
            IsBlocking = region.IsBlocking,
        };
    }

    private void StageDoorbell(AddressSpaceTransaction transaction, BarDoorbell doorbell)
    {
        if (doorbell.IsRegistered && doorbell.IsRemoved)
        {
            transaction.Remove(doorbell.Claim!);
        }
        else if (!doorbell.IsRegistered && !doorbell.IsRemoved)
        {
            transaction.Add(doorbell.Claim ?? doorbell.CreateClaim(ClaimOf(doorbell.Region)));
        }
    }

    private void SettleDoorbell(BarDoorbell doorbell)
    {
        lock (_doorbellLock)
        {
            // A doorbell that is removed right now is still registered: its own effect, which follows, unregisters it.
            doorbell.IsRegistered = doorbell.Claim?.Space is not null;
            if (doorbell.IsRemoved && !doorbell.IsRegistered)
            {
                _doorbells.Remove(doorbell);
            }
        }
    }

    private HandlerClaim ClaimOf(PciBarRegion region)
    {
        foreach ((Claim claim, _, PciBarRegion? candidate) in _claims)
        {
            if (candidate == region)
            {
                return (HandlerClaim)claim;
            }
        }

        throw new System.InvalidOperationException($"region {region.Name} is not part of BAR {bar.Index}");
    }
}
