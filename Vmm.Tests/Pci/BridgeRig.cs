using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>A host bridge with windows, driven by bus, device and function.</summary>
internal sealed class BridgeRig
{
    public PciRig Rig { get; } = new(
        new PciWindow(AddressSpaceKind.Memory, 0xc000_0000, 0x1000_0000),
        new PciWindow(AddressSpaceKind.Memory, 0x40_0000_0000, 0x10_0000_0000),
        new PciWindow(AddressSpaceKind.Port, 0xc000, 0x3000));

    public PciHostBridge Host => Rig.Bridge;

    public static PciIdentity BridgeIdentity { get; } = new() { VendorId = 0x1b36, DeviceId = 0x0001, ClassCode = 0x060400 };

    /// <summary>A conventional bridge on a bus.</summary>
    public PciBridge AddBridge(PciBus bus, int device, PciBridgeOptions? options = null)
    {
        var bridge = new PciBridge(BridgeIdentity, options);
        bus.Add(bridge, device);
        return bridge;
    }

    public PciRootPort AddPort(int device = 2, PciRootPortOptions? options = null)
    {
        var port = new PciRootPort(options);
        Host.Root.Add(port, device);
        return port;
    }

    public uint Read(PciAddress address, int offset, int width)
    {
        uint ecam = Rig.Bus.ReadConfiguration(address, offset, width);
        if (offset < 256)
        {
            Rig.Bus.ReadConfigurationByPorts(address, offset, width).Should().Be(ecam, "ports and configuration memory agree");
        }

        return ecam;
    }

    public void Write(PciAddress address, int offset, int width, uint value) => Rig.Bus.WriteConfiguration(address, offset, width, value);

    public void Write(PciFunction function, int offset, int width, uint value) => Write(function.Address, offset, width, value);

    public uint Read(PciFunction function, int offset, int width) => Read(function.Address, offset, width);

    /// <summary>Where a port's PCI Express capability lies.</summary>
    public static int Express(PciRootPort port) => port.Capabilities.OfType<PciExpressCapability>().Single().Offset;

    /// <summary>Slot Status.</summary>
    public uint Status(PciRootPort port) => Read(port, Express(port) + 0x1a, 2);

    public void Acknowledge(PciRootPort port, uint events) => Write(port, Express(port) + 0x1a, 2, events);

    /// <summary>Changes bits of Slot Control.</summary>
    public void Command(PciRootPort port, uint bits, uint value)
    {
        uint control = Read(port, Express(port) + 0x18, 2);
        Write(port, Express(port) + 0x18, 2, (control & ~bits) | value);
    }

    /// <summary>Has the port send messages.</summary>
    public void EnableMessages(PciRootPort port)
    {
        int msi = port.Msi!.Offset;
        Write(port, msi + 4, 4, 0xfee0_0000);
        Write(port, msi + 12, 2, 0x41);
        Write(port, msi + 2, 2, 1);
    }
}
