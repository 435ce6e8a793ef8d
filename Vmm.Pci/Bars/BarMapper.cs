using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Pci.Bars;

/// <summary>How the BARs of a function decode: from the registers, through the bridges above, to the address spaces.</summary>
/// <remarks>
/// What should decode is computed from the registers as they are when it is applied, so that of two changes that race the last application
/// agrees with them. It is applied after the access that changed them (<see cref="Schedule"/>), under the mapping lock of the hierarchy, by one
/// transaction an address space, for several functions at once where a bridge moves what is behind it.
/// </remarks>
internal sealed class BarMapper
{
    private readonly BarRegisters _registers;
    private readonly IBarOwner _owner;
    private readonly List<BarMapping> _mappings = [];
    private readonly Action _apply;
    private readonly BarMapper[] _self;
    private IBarRoute? _route;
    private long _failures;

    public BarMapper(BarRegisters registers, IBarOwner owner)
    {
        _registers = registers;
        _owner = owner;
        _self = [this];
        _apply = Apply;
    }

    /// <summary>How often the hypervisor refused to map a BAR where the guest had put it; such a BAR does not decode (PCI-6).</summary>
    public long Failures => Volatile.Read(ref _failures);

    /// <summary>Takes a BAR that has its registers.</summary>
    public void Add(PciBar bar) => _mappings.Add(new BarMapping(bar));

    /// <summary>The function is on a bus; nothing decodes before <see cref="Schedule"/>.</summary>
    /// <param name="route">The bus.</param>
    /// <param name="place">Where on the bus, for the names of claims.</param>
    public void Attach(IBarRoute route, string place)
    {
        lock (route.MappingLock)
        {
            foreach (BarMapping mapping in _mappings)
            {
                mapping.CreateClaims(place, _owner.Name);
            }

            _route = route;
        }
    }

    /// <summary>Stops decoding and lets go of the bus. Not from inside an access.</summary>
    public void Detach()
    {
        IBarRoute route = _route!;
        lock (route.MappingLock)
        {
            foreach (BarMapping mapping in _mappings)
            {
                mapping.Unmap(mapping.Bar.Kind == PciBarKind.Io ? route.Ports : route.Memory);
                mapping.DropClaims();
            }

            _owner.DecodingChanged();
            _route = null;
        }
    }

    /// <summary>
    /// Waits for the accesses to blocking regions that were in flight when the function left its bus. Under no lock of the bus, since it takes as
    /// long as the handlers do.
    /// </summary>
    public void WaitForBlockingCalls()
    {
        foreach (BarMapping mapping in _mappings)
        {
            mapping.WaitForBlockingCalls();
        }
    }

    /// <summary>Has decoding follow the registers, after the access that the calling thread may be in.</summary>
    public void Schedule() => _route?.RunAfterAccess(_apply);

    /// <summary>Where a BAR decodes now, or null.</summary>
    public ulong? GetMappedAddress(PciBar bar) => MappingOf(bar).MappedAt;

    /// <summary>Reads at an offset of a BAR, wherever it decodes; all-ones if nothing answers, or what does throws.</summary>
    public ulong Read(int index, ulong offset, int width)
    {
        ulong ones = AccessWidth.Mask(width);
        if (_registers.FindHandler(index, offset, width, out ulong inside) is not { } handler)
        {
            return ones;
        }

        try
        {
            return handler.Read(inside, width) & ones;
        }
        catch (Exception e)
        {
            _owner.Fault(e, (int)inside);
            return ones;
        }
    }

    /// <summary>Writes at an offset of a BAR, wherever it decodes; dropped if nothing answers.</summary>
    public void Write(int index, ulong offset, int width, ulong value)
    {
        if (_registers.FindHandler(index, offset, width, out ulong inside) is not { } handler)
        {
            return;
        }

        try
        {
            handler.Write(inside, width, value & AccessWidth.Mask(width));
        }
        catch (Exception e)
        {
            _owner.Fault(e, (int)inside);
        }
    }

    /// <summary>Adds a doorbell over a region of a BAR; it follows the BAR until it is disposed.</summary>
    /// <exception cref="ArgumentException">No handled region lies there.</exception>
    public BarDoorbell AddDoorbell(string name, PciBar bar, ulong offset, int width, EventFd target, ulong? dataMatch)
    {
        if (bar.FindRegion(offset, (ulong)width) is not { Handler: not null } region)
        {
            throw new ArgumentException($"BAR {bar.Index}: no handled region has {width} bytes at 0x{offset:x}", nameof(offset));
        }

        BarMapping mapping = MappingOf(bar);
        var doorbell = new BarDoorbell(this, mapping, region, name, offset - region.Offset, width, target, dataMatch);
        mapping.Add(doorbell);
        Schedule();
        return doorbell;
    }

    /// <summary>Has the decoding of several functions of one hierarchy follow their registers, by one transaction an address space.</summary>
    /// <param name="route">A bus of the hierarchy.</param>
    /// <param name="mappers">Those of functions that have left meanwhile are passed over.</param>
    public static void Apply(IBarRoute route, IReadOnlyList<BarMapper> mappers)
    {
        lock (route.MappingLock)
        {
            Apply(route.Memory, mappers, static mapping => mapping.Bar.Kind != PciBarKind.Io);
            Apply(route.Ports, mappers, static mapping => mapping.Bar.Kind == PciBarKind.Io);
            foreach (BarMapper mapper in mappers)
            {
                mapper._owner.DecodingChanged();
            }
        }
    }

    private static void Apply(AddressSpace? space, IReadOnlyList<BarMapper> mappers, Predicate<BarMapping> belongs)
    {
        bool changes = false;
        foreach (BarMapper mapper in mappers)
        {
            changes |= mapper.Retarget(space, belongs);
        }

        if (!changes || space is null)
        {
            return;
        }

        try
        {
            AddressSpaceTransaction transaction = space.BeginTransaction();
            foreach (BarMapper mapper in mappers)
            {
                mapper.ForEach(belongs, mapping => mapping.Stage(transaction));
            }

            transaction.Commit(waitsForBlocking: false);
            foreach (BarMapper mapper in mappers)
            {
                mapper.ForEach(belongs, static mapping => mapping.Committed());
            }
        }
        catch (HostException)
        {
            // Everything was rolled back. One BAR that cannot be mapped must not take the others with it: each is tried alone.
            foreach (BarMapper mapper in mappers)
            {
                mapper.ForEach(belongs, mapping => mapper.MapAlone(space, mapping));
            }
        }
    }

    private void Apply()
    {
        if (_route is { } route)
        {
            Apply(route, _self);
        }
    }

    private bool Retarget(AddressSpace? space, Predicate<BarMapping> belongs)
    {
        bool changes = false;
        ForEach(belongs, mapping => changes |= mapping.Retarget(space is null ? null : WantedAddress(mapping.Bar)));
        return changes;
    }

    /// <summary>Where a BAR should decode, or null, from the registers alone (PCI-5).</summary>
    private ulong? WantedAddress(PciBar bar)
    {
        if (!_owner.IsPowered || !_registers.IsEnabled(bar))
        {
            return null;
        }

        ulong address = _registers.GetAddress(bar);
        return _route!.Decodes(bar.Kind, address, bar.Size) ? address : null;
    }

    private void MapAlone(AddressSpace space, BarMapping mapping)
    {
        if (mapping.TryAlone(space) is { } reason)
        {
            Interlocked.Increment(ref _failures);
            _owner.MappingRefused(mapping.Bar, mapping.Target ?? 0, reason);
        }
    }

    /// <summary>The mappings of a kind, while the function is on a bus; under the mapping lock.</summary>
    private void ForEach(Predicate<BarMapping> belongs, Action<BarMapping> action)
    {
        if (_route is null)
        {
            return;
        }

        foreach (BarMapping mapping in _mappings)
        {
            if (belongs(mapping))
            {
                action(mapping);
            }
        }
    }

    private BarMapping MappingOf(PciBar bar)
    {
        foreach (BarMapping mapping in _mappings)
        {
            if (mapping.Bar == bar)
            {
                return mapping;
            }
        }

        throw new ArgumentException($"BAR {bar.Index} is another function's", nameof(bar));
    }
}
