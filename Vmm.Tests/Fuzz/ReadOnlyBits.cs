using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Host;

namespace Vmm.Tests.Fuzz;

/// <summary>Which bits of configuration space no guest can change, from the specifications, and what they were.</summary>
internal sealed class ReadOnlyBits
{
    private readonly PciFunction[] _functions;
    private readonly List<(int Function, int Offset, uint Mask, uint Value)> _bits = [];

    public ReadOnlyBits(IReadOnlyList<PciFunction> functions)
    {
        _functions = [.. functions];
        for (int i = 0; i < _functions.Length; i++)
        {
            uint[] changeable = Changeable(_functions[i]);
            for (int register = 0; register < changeable.Length; register++)
            {
                _bits.Add(
                    (i, register * 4, ~changeable[register], _functions[i].ConfigurationSpace.ReadRegister(register * 4) & ~changeable[register]));
            }
        }
    }

    /// <summary>The first bits that changed, or null.</summary>
    public string? Check()
    {
        foreach ((int function, int offset, uint mask, uint value) in _bits)
        {
            uint now = _functions[function].ReadConfiguration(offset, 4) & mask;
            if (now != value)
            {
                return string.Create(
                    CultureInfo.InvariantCulture,
                    $"read-only bits of {_functions[function].Name} at 0x{offset:x} changed from 0x{value:x} to 0x{now:x}");
            }
        }

        return null;
    }

    private static uint[] Changeable(PciFunction function)
    {
        uint[] bits = new uint[function.ConfigurationSpace.Length / 4];

        // Command as PCI 3.0, 6.2.2 with what PCI Express leaves of it; Status: error bits and Interrupt Status (6.2.3).
        Allow(bits, 0x04, 0xf908_0547);
        Allow(bits, 0x0c, 0xffff);
        Allow(bits, 0x3c, 0xff);
        if (function is PciBridge)
        {
            Allow(bits, 0x18, uint.MaxValue);
            Allow(bits, 0x1c, 0xf900_f0f0);
            Allow(bits, 0x20, 0xfff0_fff0);
            Allow(bits, 0x24, 0xfff0_fff0);
            Allow(bits, 0x28, uint.MaxValue);
            Allow(bits, 0x2c, uint.MaxValue);
            Allow(bits, 0x30, uint.MaxValue);
            Allow(bits, 0x3c, 0x0fff_0000);
        }

        foreach (PciBar bar in function.Bars)
        {
            ulong address = ~(bar.Size - 1);
            Allow(bits, bar.RegisterOffset, (uint)address | (bar.Kind == PciBarKind.Rom ? 1u : 0));
            if (bar.Kind == PciBarKind.Memory64)
            {
                Allow(bits, bar.RegisterOffset + 4, (uint)(address >> 32));
            }
        }

        foreach (int offset in function.Capabilities.Where(static c => c.Offset < 0x100).Select(static c => c.Offset))
        {
            AllowCapability(bits, function, offset);
        }

        return bits;
    }

    private static void AllowCapability(uint[] bits, PciFunction function, int at)
    {
        switch (function.ReadConfiguration(at, 1))
        {
            case 0x01: // power management: the state
                Allow(bits, at + 4, 0x8103);
                break;
            case 0x05: // MSI: control, address, data, mask, pending
                Allow(bits, at, 0x0071_0000);
                Allow(bits, at + 4, ~3u);
                bool wide = (function.ReadConfiguration(at + 2, 2) & 0x80) != 0;
                bool masks = (function.ReadConfiguration(at + 2, 2) & 0x100) != 0;
                int data = at + (wide ? 12 : 8);
                Allow(bits, at + 8, wide ? uint.MaxValue : 0);
                Allow(bits, data, 0xffff);
                Allow(bits, data + 4, masks ? uint.MaxValue : 0);
                Allow(bits, data + 8, masks ? uint.MaxValue : 0);
                break;
            case 0x09 when function.ReadConfiguration(at + 3, 1) == 5: // the virtio window: bar, offset, length, data
                Allow(bits, at + 4, 0xff);
                Allow(bits, at + 8, uint.MaxValue);
                Allow(bits, at + 12, uint.MaxValue);
                Allow(bits, at + 16, uint.MaxValue);
                break;
            case 0x10: // PCI Express: control and status of device, link, slot and root
                foreach (int register in (ReadOnlySpan<int>)[0x08, 0x10, 0x18, 0x28, 0x30, 0x38])
                {
                    Allow(bits, at + register, uint.MaxValue);
                }

                Allow(bits, at + 0x1c, 0xffff);
                Allow(bits, at + 0x20, uint.MaxValue);
                break;
            case 0x11: // MSI-X: enable and function mask
                Allow(bits, at, 0xc000_0000);
                break;
        }
    }

    private static void Allow(uint[] bits, int offset, uint mask)
    {
        if (mask != 0 && offset / 4 < bits.Length)
        {
            bits[offset / 4] |= mask;
        }
    }
}
