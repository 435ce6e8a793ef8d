using System;
using Vmm.Pci.Bars;

namespace Vmm.Tests.Pci;

/// <summary>Accesses that a guest makes all the time allocate nothing.</summary>
public sealed class AllocationTests
{
    [Fact]
    public void Configuration_accesses_allocate_nothing()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler(0))));
        Measure(() =>
        {
            rig.Read(0, 4);
            rig.Write(4, 2, 0x0406);
            rig.Write(4, 2, 0x0006);
            rig.Write(0x3c, 1, 1);
            rig.PortRead(8, 4);
            rig.Read(0, 4, 9);
            rig.Write(4, 1, 2);
        }).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-4")]
    public void Sizing_a_BAR_with_decoding_off_allocates_nothing()
    {
        var rig = new PciRig();
        rig.Add(PciRig.Function(PciRig.Bar(0, PciBarKind.Memory64, 0x1000, new ConstantHandler(0))));
        Measure(() =>
        {
            rig.Write(0x10, 4, 0xffff_ffff);
            rig.Read(0x10, 4);
            rig.Write(0x10, 4, 0xc000_0000);
        }).Should().Be(0);
    }

    [Fact]
    public void Table_accesses_and_signals_allocate_nothing()
    {
        var rig = new MsixRig();
        rig.Rig.Sink.Records = false;
        rig.Program(0, 0xfee00000, 0x30);
        rig.Enable();
        Measure(() =>
        {
            rig.Msix[0].Signal();
            rig.Write(0, 8, 0x31);
            rig.Write(0, 8, 0x30);
            rig.Mask(0, true);
            rig.Msix[0].Signal();
            rig.PendingBits();
            rig.Mask(0, false);
            rig.Read(0, 12);
            rig.Enable(functionMask: true);
            rig.Enable();
        }).Should().Be(0);
    }

    private static long Measure(Action action)
    {
        for (int i = 0; i < 100; i++)
        {
            action();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            action();
        }

        return GC.GetAllocatedBytesForCurrentThread() - before;
    }
}
