using System;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;

namespace Vmm.Pci.Host;

/// <summary>Configuration mechanism #1: an address port at 0xcf8 and four data ports at 0xcfc (PCI 3.0, 3.2.2.3.2; PCI-2).</summary>
internal sealed class ConfigurationPorts(PciHostBridge bridge) : IRegionHandler, IRegionNames, IRegionRouter
{
    private const uint EnableBit = 0x8000_0000;
    private const uint AddressBits = 0x80ff_fffc;

    private uint _address;

    public ulong Read(ulong offset, int width)
    {
        if (offset < 4)
        {
            // Accesses to 0xcf8 that are not 32-bit pass the bridge as ordinary port accesses, and nobody is there.
            return width == 4 ? Volatile.Read(ref _address) : ulong.MaxValue;
        }

        uint address = Volatile.Read(ref _address);
        if ((address & EnableBit) == 0 || Find(address) is not { } function)
        {
            return ulong.MaxValue;
        }

        int register = Register(address, offset);
        if (function.BlockingConfiguration is not null)
        {
            return ReadBlocking(function, register, width);
        }

        try
        {
            return function.ReadConfiguration(register, width);
        }
        catch (Exception e)
        {
            function.Fault(e, register);
            return ulong.MaxValue;
        }
    }

    public void Write(ulong offset, int width, ulong value)
    {
        if (offset < 4)
        {
            if (width == 4)
            {
                Volatile.Write(ref _address, (uint)value & AddressBits);
            }

            return;
        }

        uint address = Volatile.Read(ref _address);
        if ((address & EnableBit) == 0 || Find(address) is not { } function)
        {
            return;
        }

        if (function.BlockingConfiguration is null)
        {
            function.WriteFromBus(Register(address, offset), width, (uint)value);
        }
        else
        {
            WriteBlocking(function, Register(address, offset), width, (uint)value);
        }
    }

    /// <summary>The latch at 0xcf8.</summary>
    public uint Address
    {
        get => Volatile.Read(ref _address);
        set => Volatile.Write(ref _address, value & AddressBits);
    }

    public bool TryRoute(ulong offset, [NotNullWhen(true)] out string? device, [NotNullWhen(true)] out IRegionNames? names, out ulong inside)
    {
        uint address = Volatile.Read(ref _address);
        PciFunction? function = offset >= 4 && (address & EnableBit) != 0 ? Find(address) : null;
        device = function?.Name;
        names = function?.Names;
        inside = (ulong)Register(address, offset);
        return function is not null;
    }

    public string Describe(ulong offset, int selected)
    {
        ulong within = offset & 3;
        string name = offset < 4 ? "config_address" : "config_data";
        return within == 0 ? name : string.Create(CultureInfo.InvariantCulture, $"{name}+{within}");
    }

    public void Reset() => Volatile.Write(ref _address, 0);

    private static int Register(uint address, ulong offset) => (int)((address & 0xfc) | ((uint)offset & 3));

    /// <summary>The same out of the epoch. Apart, so that those who do not wait pay for no scope.</summary>
    private uint ReadBlocking(PciFunction function, int register, int width)
    {
        using BlockingScope scope = (bridge.Root.Ports ?? bridge.Root.Memory).Domain.Block(function.BlockingConfiguration!);
        return function.ReadFromBus(register, width);
    }

    private void WriteBlocking(PciFunction function, int register, int width, uint value)
    {
        using BlockingScope scope = (bridge.Root.Ports ?? bridge.Root.Memory).Domain.Block(function.BlockingConfiguration!);
        function.WriteFromBus(register, width, value);
    }

    private PciFunction? Find(uint address) => bridge.Find((int)(address >> 16) & 0xff, (int)(address >> 8) & 0xff);
}
