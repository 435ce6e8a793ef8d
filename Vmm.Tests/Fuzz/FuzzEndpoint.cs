using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Fuzz;

/// <summary>
/// A function with everything that virtio functions lack: ports, a ROM, host memory in a BAR, MSI, power management, function-level reset.
/// </summary>
internal sealed class FuzzEndpoint : IRegionHandler, IDisposable
{
    private readonly HostMemory _memory = HostMemory.AllocateShared("fuzz-bar", 0x4000);
    private readonly MsiCapability _messages;

    public FuzzEndpoint(Random random)
    {
        Function = new PciFunction(
            new PciIdentity { VendorId = 0x1234, DeviceId = 0x5678, ClassCode = 0xff0000 },
            new PciFunctionOptions { Name = "fuzz-endpoint", Pin = InterruptPin.C, ExtendedConfigurationSpace = true });
        Function.AddBar(new PciBar(0, PciBarKind.Io, 64, [new PciBarRegion("ports", 0, 64, this)]));
        Function.AddBar(new PciBar(
            1, PciBarKind.Memory32, 0x1000, [new PciBarRegion("low", 0x10, 0x20, this), new PciBarRegion("high", 0x800, 0x800, this)]));
        Function.AddBar(new PciBar(2, PciBarKind.Memory64, 0x8000, [new PciBarRegion("memory", 0, 0x4000, _memory)], prefetchable: true));
        Function.AddBar(new PciBar(PciBar.RomIndex, PciBarKind.Rom, 0x1000, [new PciBarRegion("rom", 0, 0x1000, _memory, 0, readOnly: true)]));
        _messages = new MsiCapability(1 << random.Next(6), is64Bit: random.Next(2) == 0, perVectorMasking: random.Next(2) == 0);
        Function.AddCapability(new PowerManagementCapability(noSoftReset: random.Next(2) == 0));
        Function.AddCapability(_messages);
        Function.AddCapability(new PciExpressCapability());
    }

    public PciFunction Function { get; }

    public ulong Read(ulong offset, int width) => offset * 0x0101_0101;

    /// <summary>Interrupts by message and by pin.</summary>
    public void Write(ulong offset, int width, ulong value)
    {
        if ((value & 1) != 0)
        {
            _messages[(int)((value >> 1) % (ulong)_messages.VectorCount)].Signal();
        }

        Function.Intx.SetLevel((value & 2) != 0);
    }

    public void Dispose() => _memory.Dispose();
}
