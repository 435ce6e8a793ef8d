using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <content>Base address registers: what they decode, and how that follows the registers.</content>
public partial class PciFunction
{
    private readonly List<PciBar> _bars = [];
    private readonly List<BarMapping> _mappings = [];
    private readonly BarMapping?[] _mappingByRegister = new BarMapping?[7];
    private readonly Action _applyMapping;
    private readonly PciFunction[] _self;
    private readonly TokenBucket _reports = new(burst: 3);
    private ILogger _logger = NullLogger.Instance;
    private PciCommand _decodeBits;
    private long _failedMappings;

    /// <summary>The BARs, by index.</summary>
    public IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>How often the hypervisor refused to map a BAR where the guest had put it; such a BAR does not decode (PCI-6).</summary>
    public long FailedMappings => Volatile.Read(ref _failedMappings);

    /// <summary>Adds a BAR.</summary>
    /// <param name="bar">A BAR of no function.</param>
    /// <exception cref="ArgumentException">One of its registers is taken.</exception>
    /// <exception cref="InvalidOperationException">The function has been on a bus.</exception>
    public void AddBar(PciBar bar)
    {
        ArgumentNullException.ThrowIfNull(bar);
        ThrowIfSealed();
        if (bar.Index + bar.RegisterCount > BarRegisters && (bar.Kind != PciBarKind.Rom || BarRegisters != 6))
        {
            throw new ArgumentException($"{Name}: BAR {bar.Index} ({bar.Kind}); a bridge has {BarRegisters} registers and no ROM here", nameof(bar));
        }

        for (int i = 0; i < bar.RegisterCount; i++)
        {
            if (_mappingByRegister[bar.Index + i] is { } other)
            {
                throw new ArgumentException($"{Name}: BAR {bar.Index} needs register {bar.Index + i}, which BAR {other.Bar.Index} has", nameof(bar));
            }
        }

        var mapping = new BarMapping(bar);
        for (int i = 0; i < bar.RegisterCount; i++)
        {
            _mappingByRegister[bar.Index + i] = mapping;
        }

        _bars.Add(bar);
        _bars.Sort(static (left, right) => left.Index.CompareTo(right.Index));
        _mappings.Add(mapping);
        _decodeBits |= bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        uint low = (uint)bar.AddressMask;
        _space.Define(bar.RegisterOffset, 4, bar.TypeBits, bar.Kind == PciBarKind.Rom ? low | 1 : low);
        if (bar.RegisterCount == 2)
        {
            _space.Define(bar.RegisterOffset + 4, 4, 0, (uint)(bar.AddressMask >> 32));
        }
    }

    /// <summary>The address in a BAR's registers, whether or not it decodes.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <exception cref="ArgumentException">No such BAR.</exception>
    public ulong GetBarAddress(int index) => AddressOf(MappingOf(index).Bar);

    /// <summary>Programs a BAR's registers, as firmware does.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <param name="address">A multiple of the BAR's size.</param>
    /// <exception cref="ArgumentException">No such BAR, or an address that the registers cannot hold.</exception>
    public void SetBarAddress(int index, ulong address)
    {
        var bar = MappingOf(index).Bar;
        if ((address & ~bar.AddressMask) != 0)
        {
            throw new ArgumentException(
                $"BAR {index}: 0x{address:x} is not a multiple of 0x{bar.Size:x} that its registers can hold", nameof(address));
        }

        _space.Update(bar.RegisterOffset, (uint)bar.AddressMask, (uint)address);
        if (bar.RegisterCount == 2)
        {
            _space.Update(bar.RegisterOffset + 4, (uint)(bar.AddressMask >> 32), (uint)(address >> 32));
        }

        ScheduleMapping();
    }

    /// <summary>Where a BAR decodes now, or null if it does not.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <exception cref="ArgumentException">No such BAR.</exception>
    public ulong? GetMappedAddress(int index) => MappingOf(index).MappedAt;

    /// <summary>
    /// Reads from a BAR by offset, without its address, also while it does not decode: what a window in configuration space needs.
    /// </summary>
    /// <param name="index">Index of the BAR; without such a BAR the value is all-ones.</param>
    /// <param name="offset">Offset in the BAR, a multiple of <paramref name="width"/>; outside of a region the value is all-ones.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    public ulong ReadBar(int index, ulong offset, int width)
    {
        ulong ones = AccessWidth.Mask(width);
        if (FindHandler(index, offset, width, out ulong inside) is not { } handler)
        {
            return ones;
        }

        try
        {
            return handler.Read(inside, width) & ones;
        }
        catch (Exception e)
        {
            Fault(e, (int)inside);
            return ones;
        }
    }

    /// <summary>Writes to a BAR by offset, without its address, also while it does not decode.</summary>
    /// <param name="index">Index of the BAR; without such a BAR the write is dropped.</param>
    /// <param name="offset">Offset in the BAR, a multiple of <paramref name="width"/>; outside of a region the write is dropped.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">Little-endian.</param>
    public void WriteBar(int index, ulong offset, int width, ulong value)
    {
        if (FindHandler(index, offset, width, out ulong inside) is not { } handler)
        {
            return;
        }

        try
        {
            handler.Write(inside, width, value & AccessWidth.Mask(width));
        }
        catch (Exception e)
        {
            Fault(e, (int)inside);
        }
    }

    /// <summary>
    /// Adds a doorbell over a region of a BAR; it follows the BAR until the result is disposed. Inside an access, the change takes effect
    /// when the access has ended. If the hypervisor has no doorbell, writes reach the region's handler.
    /// </summary>
    /// <param name="name">For logs and counters, for example <c>queue0</c>.</param>
    /// <param name="barIndex">Index of the BAR.</param>
    /// <param name="offset">Offset in the BAR, in bytes; it lies in a region with a handler.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="target">Signalled; stays open until the doorbell is gone.</param>
    /// <param name="dataMatch">Only writes of this value count, or null for any.</param>
    /// <exception cref="ArgumentException">No handled region lies there.</exception>
    public IDisposable AddDoorbell(string name, int barIndex, ulong offset, int width, EventFd target, ulong? dataMatch = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(target);
        var mapping = MappingOf(barIndex);
        if (mapping.Bar.FindRegion(offset, (ulong)width) is not { Handler: not null } region)
        {
            throw new ArgumentException($"BAR {barIndex}: no handled region has {width} bytes at 0x{offset:x}", nameof(offset));
        }

        var doorbell = new BarDoorbell(this, mapping, region, name, offset - region.Offset, width, target, dataMatch);
        mapping.Add(doorbell);
        ScheduleMapping();
        return doorbell;
    }

    /// <summary>How many base address registers the header has.</summary>
    internal virtual int BarRegisters => 6;

    internal void Attach(PciBus bus, PciAddress address, IInterruptLine? wire)
    {
        if (!_sealed)
        {
            foreach (var capability in _capabilities)
            {
                capability.OnSealed();
            }

            _sealed = true;
        }

        lock (bus.Hierarchy.Mapping)
        {
            Address = address;
            Bus = bus;
            _logger = bus.Logger;
            foreach (var mapping in _mappings)
            {
                mapping.CreateClaims(address);
            }
        }

        OnJoined(bus);
        Intx.Attach(wire);
        foreach (var capability in _capabilities)
        {
            capability.OnAttached();
        }

        try
        {
            OnAttached();
        }
        catch
        {
            Detach();
            throw;
        }
    }

    /// <summary>The function is where configuration accesses find it: what depends on the bridges above is evaluated.</summary>
    internal void Appeared()
    {
        ApplyBusMaster();
        ScheduleMapping();
    }

    /// <summary>A bridge takes its secondary bus along.</summary>
    internal virtual void OnJoined(PciBus bus)
    {
    }

    /// <summary>A bridge takes its secondary bus along.</summary>
    internal virtual void OnLeft()
    {
    }

    /// <summary>Stops decoding and lets go of the bus. Not from inside an access.</summary>
    internal void Detach()
    {
        CallHook(static function => function.OnLeaving(), 0);
        lock (Bus!.Hierarchy.Mapping)
        {
            foreach (var mapping in _mappings)
            {
                mapping.Unmap(SpaceOf(mapping));
                mapping.DropClaims();
            }

            CallHook(static function => function.OnDecodingChanged(), ConfigurationRegisters.Command);
            Bus = null;
        }

        foreach (var capability in _capabilities)
        {
            capability.OnDetached();
        }

        Intx.Detach();
        OnLeft();
    }

    /// <summary>
    /// Waits for the accesses to blocking regions that were in flight when the function left its bus. Under no lock of the bus, since it takes as
    /// long as the handlers do.
    /// </summary>
    internal void WaitForBlockingCalls()
    {
        foreach (var mapping in _mappings)
        {
            mapping.WaitForBlockingCalls();
        }
    }

    private BarMapping MappingOf(int index)
    {
        return (uint)index < 7 && _mappingByRegister[index] is { } mapping && mapping.Bar.Index == index
            ? mapping
            : throw new ArgumentException($"{Name} has no BAR {index}", nameof(index));
    }

    private IRegionHandler? FindHandler(int index, ulong offset, int width, out ulong inside)
    {
        inside = 0;
        if (width is not (1 or 2 or 4 or 8) || (offset & ((ulong)width - 1)) != 0
            || (uint)index >= 7 || _mappingByRegister[index] is not { } mapping || mapping.Bar.Index != index
            || mapping.Bar.FindRegion(offset, (ulong)width) is not { } region)
        {
            return null;
        }

        inside = offset - region.Offset;
        return (inside & ((ulong)width - 1)) == 0 ? region.Access : null;
    }

    private ulong AddressOf(PciBar bar)
    {
        ulong address = _space.ReadRegister(bar.RegisterOffset);
        if (bar.RegisterCount == 2)
        {
            address |= (ulong)_space.ReadRegister(bar.RegisterOffset + 4) << 32;
        }

        return address & bar.AddressMask;
    }
}
