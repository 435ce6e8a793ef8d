using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Benchmarks.Pci;

/// <summary>
/// A host bridge and 31 functions with the BAR of a virtio device: 512 KiB with five structures, an MSI-X table of 33 vectors and its pending bits.
/// </summary>
internal sealed class BenchmarkMachine : IMsiSink, IIrqRouting
{
    public const ulong Ecam = 0xb000_0000;
    public const ulong FirstBar = 0xc000_0000;
    public const ulong BarLength = 0x8_0000;
    public const uint TableOffset = 0x8000;
    private const uint PendingOffset = 0x4_8000;

    public BenchmarkMachine()
    {
        var domain = new AccessDomain();
        Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain });
        Ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, Name = "ports" });
        Bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = Memory,
            Ports = Ports,
            EcamBase = Ecam,
            BusCount = 1,
            MsiSink = this,
            IrqRouting = this,
        });
        Bridge.ClaimConfigurationAccess();
        for (int device = 1; device < 32; device++)
        {
            PciFunction function = CreateFunction();
            Bridge.Root.Add(function, device);
            function.SetBarAddress(0, FirstBar + (BarLength * (ulong)device));
            function.WriteConfiguration(4, 2, 6);
        }
    }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    public PciHostBridge Bridge { get; }

    public ulong Messages { get; private set; }

    public PciFunction Function(int device) => Bridge.Root.Find(device << 3)!;

    public static PciFunction CreateFunction()
    {
        var function = new PciFunction(new PciIdentity { VendorId = 0x1af4, DeviceId = 0x1042, ClassCode = 0x018000, RevisionId = 1 });
        var msix = new MsixCapability(33, 0, TableOffset, 0, PendingOffset);
        function.AddBar(new PciBar(0, PciBarKind.Memory32, BarLength,
        [
            new("common", 0, 0x40, new Bus.BenchmarkDevice()),
            new("isr", 0x2000, 4, new Bus.BenchmarkDevice()),
            new("device", 0x4000, 0x40, new Bus.BenchmarkDevice()),
            new("notify", 0x6000, 0x1000, new Bus.BenchmarkDevice()),
            msix.CreateTableRegion(),
            msix.CreatePendingRegion(),
        ]));
        function.AddCapability(msix);
        function.AddCapability(new VendorSpecificCapability(new byte[13]));
        return function;
    }

    public bool Send(in MsiMessage message, uint requesterId)
    {
        Messages++;
        return true;
    }

    public IIrqRoute CreateRoute(EventFd source) => new Route(this);

    public void ArmAll(IReadOnlyList<RouteArming> armings) => Messages += (ulong)armings.Count;

    private sealed class Route(BenchmarkMachine machine) : IIrqRoute
    {
        public void Arm(in MsiMessage message) => machine.Messages++;

        public void Disarm() => machine.Messages++;

        public void Dispose()
        {
        }
    }
}
