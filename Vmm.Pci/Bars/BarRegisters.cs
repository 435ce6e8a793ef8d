using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Bars;

/// <summary>The base address registers of a function: which BAR has which, the addresses in them, and what the guest's enable bits say.</summary>
/// <remarks>BARs are added by one thread before the function joins a bus; from then on any thread reads.</remarks>
internal sealed class BarRegisters(PciConfigurationSpace space, string owner)
{
    private readonly List<PciBar> _bars = [];
    private readonly PciBar?[] _byRegister = new PciBar?[PciBar.RomIndex + 1];

    /// <summary>The BARs, by index.</summary>
    public IReadOnlyList<PciBar> Bars => _bars;

    /// <summary>Bits of the Command register that decide whether some BAR decodes.</summary>
    public PciCommand DecodeBits { get; private set; }

    private PciCommand Command => (PciCommand)(space.ReadRegister(ConfigurationRegisters.Command) & 0xffff);

    /// <summary>Gives a BAR its registers.</summary>
    /// <param name="bar">A BAR of no function.</param>
    /// <param name="registers">How many registers the header has: 6, or 2 in a bridge, which has no ROM here.</param>
    /// <exception cref="ArgumentException">One of its registers is taken, or there is no such register.</exception>
    public void Add(PciBar bar, int registers)
    {
        if (bar.Index + bar.RegisterCount > registers && (bar.Kind != PciBarKind.Rom || registers != 6))
        {
            throw new ArgumentException($"{owner}: BAR {bar.Index} ({bar.Kind}); a bridge has {registers} registers and no ROM here", nameof(bar));
        }

        for (int i = 0; i < bar.RegisterCount; i++)
        {
            if (_byRegister[bar.Index + i] is { } other)
            {
                throw new ArgumentException($"{owner}: BAR {bar.Index} needs register {bar.Index + i}, which BAR {other.Index} has", nameof(bar));
            }
        }

        for (int i = 0; i < bar.RegisterCount; i++)
        {
            _byRegister[bar.Index + i] = bar;
        }

        _bars.Add(bar);
        _bars.Sort(static (left, right) => left.Index.CompareTo(right.Index));
        DecodeBits |= bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        uint low = (uint)bar.AddressMask;
        space.Define(bar.RegisterOffset, 4, bar.TypeBits, bar.Kind == PciBarKind.Rom ? low | 1 : low);
        if (bar.RegisterCount == 2)
        {
            space.Define(bar.RegisterOffset + 4, 4, 0, (uint)(bar.AddressMask >> 32));
        }
    }

    /// <summary>The BAR with an index.</summary>
    /// <exception cref="ArgumentException">No such BAR.</exception>
    public PciBar Get(int index) => Find(index) ?? throw new ArgumentException($"{owner} has no BAR {index}", nameof(index));

    /// <summary>The handler at an offset of a BAR, or null if nothing does or the access is no aligned one of 1, 2, 4 or 8 bytes.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <param name="offset">Offset in the BAR.</param>
    /// <param name="width">Bytes.</param>
    /// <param name="inside">Offset in the region.</param>
    public IRegionHandler? FindHandler(int index, ulong offset, int width, out ulong inside)
    {
        inside = 0;
        if (width is not (1 or 2 or 4 or 8) || (offset & ((ulong)width - 1)) != 0
            || Find(index)?.FindRegion(offset, (ulong)width) is not { } region)
        {
            return null;
        }

        inside = offset - region.Offset;
        return (inside & ((ulong)width - 1)) == 0 ? region.Access : null;
    }

    /// <summary>The address in a BAR's registers, whether or not it decodes.</summary>
    public ulong GetAddress(PciBar bar)
    {
        ulong address = space.ReadRegister(bar.RegisterOffset);
        if (bar.RegisterCount == 2)
        {
            address |= (ulong)space.ReadRegister(bar.RegisterOffset + 4) << 32;
        }

        return address & bar.AddressMask;
    }

    /// <summary>Programs a BAR's registers.</summary>
    /// <exception cref="ArgumentException">An address that the registers cannot hold.</exception>
    public void SetAddress(PciBar bar, ulong address)
    {
        if ((address & ~bar.AddressMask) != 0)
        {
            throw new ArgumentException(
                $"BAR {bar.Index}: 0x{address:x} is not a multiple of 0x{bar.Size:x} that its registers can hold", nameof(address));
        }

        space.Update(bar.RegisterOffset, (uint)bar.AddressMask, (uint)address);
        if (bar.RegisterCount == 2)
        {
            space.Update(bar.RegisterOffset + 4, (uint)(bar.AddressMask >> 32), (uint)(address >> 32));
        }
    }

    /// <summary>True while the enable bits of a BAR are set: the one of its space, and a ROM's own.</summary>
    public bool IsEnabled(PciBar bar) => bar.Kind switch
    {
        PciBarKind.Io => (Command & PciCommand.IoSpace) != 0,
        PciBarKind.Rom => (Command & PciCommand.MemorySpace) != 0 && (space.ReadRegister(bar.RegisterOffset) & 1) != 0,
        _ => (Command & PciCommand.MemorySpace) != 0,
    };

    /// <summary>True if a change of a header register can change what decodes now.</summary>
    /// <param name="register">Offset of the register.</param>
    /// <param name="changedOrSet">The bits that changed or are set.</param>
    public bool MovesDecoding(int register, uint changedOrSet)
    {
        int index = register == ConfigurationRegisters.ExpansionRom ? PciBar.RomIndex : (register - ConfigurationRegisters.Bar0) / 4;
        if (register < ConfigurationRegisters.Bar0 || (uint)index > PciBar.RomIndex || _byRegister[index] is not { } bar
            || (register > ConfigurationRegisters.Bar0 + 20 && register != ConfigurationRegisters.ExpansionRom))
        {
            return false;
        }

        return bar.Kind switch
        {
            PciBarKind.Io => (Command & PciCommand.IoSpace) != 0,
            PciBarKind.Rom => (Command & PciCommand.MemorySpace) != 0 && (changedOrSet & 1) != 0,
            _ => (Command & PciCommand.MemorySpace) != 0,
        };
    }

    private PciBar? Find(int index) => (uint)index <= PciBar.RomIndex && _byRegister[index] is { } bar && bar.Index == index ? bar : null;
}
