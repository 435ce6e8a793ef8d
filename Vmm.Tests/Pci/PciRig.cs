using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>A host bridge on recording seams, driven as a guest would: through ECAM and through the configuration ports.</summary>
internal sealed class PciRig
{
    public const ulong Ecam = 0xb000_0000;

    public PciRig(params PciWindow[] windows)
    {
        Bus = new PciBusRig(
            bridge => bridge with { Windows = windows, EcamBase = Ecam }, memory => memory with { MemorySlots = Slots, Doorbells = null });
    }

    public PciBusRig Bus { get; }

    public AddressSpace Memory => Bus.Memory;

    public AddressSpace Ports => Bus.Ports;

    public PciHostBridge Bridge => Bus.Bridge;

    public FakeSlots Slots { get; } = new();

    public RecordingMsiSink Sink => Bus.Messages;

    public RecordingIrqRouting Routing => Bus.Routing;

    public RecordingInterruptLines Lines => Bus.Lines;

    public static PciIdentity Identity { get; } = new()
    {
        VendorId = 0x1af4,
        DeviceId = 0x1042,
        ClassCode = 0x018000,
        RevisionId = 1,
        SubsystemVendorId = 0x1af4,
        SubsystemId = 0x0040,
    };

    public static PciFunction Function(params PciBar[] bars)
    {
        var function = new PciFunction(Identity);
        foreach (PciBar bar in bars)
        {
            function.AddBar(bar);
        }

        return function;
    }

    /// <summary>A BAR that one handler answers wholly.</summary>
    public static PciBar Bar(int index, PciBarKind kind, ulong size, IRegionHandler handler)
    {
        return new PciBar(index, kind, size, new List<PciBarRegion> { new("all", 0, size, handler) });
    }

    public PciFunction Add(PciFunction function, int device = 3, int number = 0)
    {
        Bridge.Root.Add(function, device, number);
        return function;
    }

    public uint Read(int offset, int width, int device = 3, int function = 0) =>
        Bus.ReadConfiguration(new PciAddress(0, device, function), offset, width);

    public void Write(int offset, int width, uint value, int device = 3, int function = 0) =>
        Bus.WriteConfiguration(new PciAddress(0, device, function), offset, width, value);

    public uint PortRead(int offset, int width, int device = 3, int function = 0) =>
        Bus.ReadConfigurationByPorts(new PciAddress(0, device, function), offset, width);

    public void PortWrite(int offset, int width, uint value, int device = 3, int function = 0) =>
        Bus.WriteConfigurationByPorts(new PciAddress(0, device, function), offset, width, value);

    public static ulong EcamAddress(int offset, int device, int function)
    {
        return Ecam + ((ulong)device << 15) + ((ulong)function << 12) + (ulong)offset;
    }
}
