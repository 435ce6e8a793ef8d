using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Host;

/// <summary>The way from the processor to the root bus: configuration ports, configuration memory (ECAM) and windows.</summary>
/// <remarks>Configuration accesses of several vCPUs run at once; what they share is one latch, read and written whole.
/// An access to a bus behind bridges goes where their bus numbers say, as they are at that moment.</remarks>
public sealed class PciHostBridge
{
    /// <summary>The first configuration port; there are eight.</summary>
    public const ushort ConfigurationPortBase = 0xcf8;

    private bool _claimed;

    /// <summary>Makes a bridge with its own function at 00:00.0.</summary>
    /// <param name="options">Spaces, windows and wires.</param>
    /// <exception cref="ArgumentException">The configuration window is misplaced.</exception>
    public PciHostBridge(PciHostBridgeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BusCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.BusCount, 256);
        EcamBase = options.EcamBase;
        EcamLength = (ulong)options.BusCount << 20;
        if ((EcamBase & 0xfffff) != 0 || EcamLength - 1 > ulong.MaxValue - EcamBase)
        {
            throw new ArgumentException($"configuration memory of 0x{EcamLength:x} bytes cannot start at 0x{EcamBase:x}", nameof(options));
        }

        BusCount = options.BusCount;
        Root = new PciBus(0, options);
        ConfigurationPorts = new ConfigurationPorts(this);
        Ecam = new EcamRegion(this);
        Function = new PciFunction(options.Identity, new PciFunctionOptions { Name = "host-bridge", ExtendedConfigurationSpace = true });
        Root.Add(Function, 0);
    }

    /// <summary>The root bus, number 0.</summary>
    public PciBus Root { get; }

    /// <summary>The bridge's own function.</summary>
    public PciFunction Function { get; }

    /// <summary>How many bus numbers configuration memory has room for.</summary>
    public int BusCount { get; }

    /// <summary>Where configuration memory lies.</summary>
    public ulong EcamBase { get; }

    /// <summary>Bytes of configuration memory.</summary>
    public ulong EcamLength { get; }

    /// <summary>Answers the ports 0xcf8 to 0xcff.</summary>
    public IRegionHandler ConfigurationPorts { get; }

    /// <summary>Answers configuration memory.</summary>
    public IRegionHandler Ecam { get; }

    /// <summary>The function at an address, or null.</summary>
    /// <param name="address">Bus, device and function.</param>
    public PciFunction? Find(PciAddress address) => Find(address.Bus, address.DeviceFunction);

    /// <summary>Claims the ports (if there is a port space) and configuration memory.</summary>
    /// <exception cref="InvalidOperationException">They are claimed already.</exception>
    public void ClaimConfigurationAccess()
    {
        if (_claimed)
        {
            throw new InvalidOperationException("configuration access is claimed already");
        }

        _claimed = true;
        Root.Ports?.Add(new HandlerClaim("pci configuration ports", 8, ConfigurationPorts, ClaimPriority.Platform), ConfigurationPortBase);
        Root.Memory.Add(new HandlerClaim("pci configuration memory", EcamLength, Ecam, ClaimPriority.Platform), EcamBase);
    }

    /// <summary>Takes the configuration ports and all functions to their power-on state and programs what firmware had programmed.</summary>
    public void Reset()
    {
        ((ConfigurationPorts)ConfigurationPorts).Reset();
        Root.Reset();
    }

    internal PciFunction? Find(int bus, int deviceFunction) => bus == 0 ? Root.Find(deviceFunction) : Root.Route(bus, deviceFunction);
}
