using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <content>What the BARs decode: from the registers to the address spaces.</content>
public partial class PciFunction
{
    /// <summary>Has decoding follow the registers, after the access that the calling thread may be in.</summary>
    internal void ScheduleMapping() => Bus?.RunAfterAccess(_applyMapping);

    /// <summary>True if a change of a header register can change what decodes now.</summary>
    private bool MovesDecoding(int register, uint changedOrSet)
    {
        int index = register == ConfigurationRegisters.ExpansionRom ? PciBar.RomIndex : (register - ConfigurationRegisters.Bar0) / 4;
        if (register < ConfigurationRegisters.Bar0 || (uint)index >= 7 || _mappingByRegister[index] is not { } mapping
            || (register > ConfigurationRegisters.Bar0 + 20 && register != ConfigurationRegisters.ExpansionRom))
        {
            return false;
        }

        return mapping.Bar.Kind switch
        {
            PciBarKind.Io => (Command & PciCommand.IoSpace) != 0,
            PciBarKind.Rom => (Command & PciCommand.MemorySpace) != 0 && (changedOrSet & 1) != 0,
            _ => (Command & PciCommand.MemorySpace) != 0,
        };
    }

    private AddressSpace? SpaceOf(BarMapping mapping) => mapping.Bar.Kind == PciBarKind.Io ? Bus?.Ports : Bus?.Memory;

    /// <summary>What a BAR should decode, from the registers alone (PCI-5).</summary>
    private ulong? WantedAddress(BarMapping mapping)
    {
        var bar = mapping.Bar;
        if (PowerState != PciPowerState.D0)
        {
            return null;
        }

        bool enabled = bar.Kind switch
        {
            PciBarKind.Io => (Command & PciCommand.IoSpace) != 0,
            PciBarKind.Rom => (Command & PciCommand.MemorySpace) != 0 && (_space.ReadRegister(bar.RegisterOffset) & 1) != 0,
            _ => (Command & PciCommand.MemorySpace) != 0,
        };
        if (!enabled)
        {
            return null;
        }

        ulong address = AddressOf(bar);
        return Bus!.Decodes(bar.Kind, address, bar.Size) ? address : null;
    }

    private void ApplyMapping()
    {
        if (Bus is { } bus)
        {
            ApplyMapping(bus, _self);
        }
    }

    /// <summary>Has the decoding of several functions of one hierarchy follow their registers, by one transaction an address space.</summary>
    /// <param name="bus">A bus of the hierarchy.</param>
    /// <param name="functions">Those that have left meanwhile are passed over.</param>
    private protected static void ApplyMapping(PciBus bus, IReadOnlyList<PciFunction> functions)
    {
        lock (bus.Hierarchy.Mapping)
        {
            Apply(bus.Memory, functions, static mapping => mapping.Bar.Kind != PciBarKind.Io);
            Apply(bus.Ports, functions, static mapping => mapping.Bar.Kind == PciBarKind.Io);
            foreach (var function in functions)
            {
                function.CallHook(static changed => changed.OnDecodingChanged(), ConfigurationRegisters.Command);
            }
        }
    }

    private static void Apply(AddressSpace? space, IReadOnlyList<PciFunction> functions, Predicate<BarMapping> belongs)
    {
        bool changes = false;
        foreach (var function in functions)
        {
            changes |= function.Retarget(space, belongs);
        }

        if (!changes || space is null)
        {
            return;
        }

        try
        {
            var transaction = space.BeginTransaction();
            foreach (var function in functions)
            {
                function.ForEachMapping(belongs, mapping => mapping.Stage(transaction));
            }

            transaction.Commit(waitsForBlocking: false);
            foreach (var function in functions)
            {
                function.ForEachMapping(belongs, static mapping => mapping.Committed());
            }
        }
        catch (HostException)
        {
            // Everything was rolled back. One BAR that cannot be mapped must not take the others with it: each is tried alone.
            foreach (var function in functions)
            {
                function.ForEachMapping(belongs, mapping => function.MapAlone(space, mapping));
            }
        }
    }

    private bool Retarget(AddressSpace? space, Predicate<BarMapping> belongs)
    {
        bool changes = false;
        ForEachMapping(belongs, mapping => changes |= mapping.Retarget(space is null ? null : WantedAddress(mapping)));
        return changes;
    }

    private void MapAlone(AddressSpace space, BarMapping mapping)
    {
        if (mapping.TryAlone(space) is { } reason)
        {
            Interlocked.Increment(ref _failedMappings);
            if (_reports.TryTake(out long suppressed))
            {
                Log.MappingFailed(_logger, reason, Name, Address, mapping.Bar.Index, mapping.Target ?? 0, suppressed);
            }
        }
    }

    /// <summary>The mappings of a kind, while the function is on a bus; under the mapping lock.</summary>
    private void ForEachMapping(Predicate<BarMapping> belongs, Action<BarMapping> action)
    {
        if (Bus is null)
        {
            return;
        }

        foreach (var mapping in _mappings)
        {
            if (belongs(mapping))
            {
                action(mapping);
            }
        }
    }
}
