using System;
using System.Linq;
using System.Threading;
using Vmm.Kvm;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Tests.Pci;

namespace Vmm.Tests.Kvm;

/// <summary>The vectors of a function, armed together on the kernel's own routing table.</summary>
public sealed class MsixBatchTests
{
    private const int Vectors = 16;
    private const byte First = 0x40;
    private const ulong Bar = 0xC000_0000;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    [KvmFact]
    [Trait("Behaviour", "KVM-5")]
    public void Vectors_that_turn_effective_together_cost_one_change_and_all_are_delivered()
    {
        using var machine = new TestMachine(interruptController: true);
        InterruptGuest.Load(machine, [.. Enumerable.Range(First, Vectors).Select(static vector => (byte)vector)]);
        machine.Group.Start();
        Wait(() => InterruptGuest.IsReady(machine));
        using var bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = machine.Memory,
            MsiSink = machine.Machine.Msi,
            IrqRouting = machine.Machine.IrqRouting,
            EcamBase = PciRig.Ecam,
        });
        bridge.ClaimConfigurationAccess();
        var msix = new MsixCapability(Vectors, 0, 0, 0, 0x1000);
        var function = new PciFunction(PciRig.Identity);
        function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x2000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msix);
        bridge.Root.Add(function, 3);
        Write(PciRig.EcamAddress(0x10, 3, 0), 4, (uint)Bar);
        Write(PciRig.EcamAddress(4, 3, 0), 2, 6);
        for (uint i = 0; i < Vectors; i++)
        {
            Write(Bar + (i * 16), 4, InterruptGuest.LocalApic);
            Write(Bar + (i * 16) + 8, 4, First + i);
            Write(Bar + (i * 16) + 12, 4, 0);
        }

        KvmIrqRouting routing = machine.Machine.IrqRouting;
        Write(PciRig.EcamAddress(msix.Offset + 2, 3, 0), 2, 0xC000);
        msix.CreateEventFds(Enumerable.Range(0, Vectors));
        long before = routing.TableChanges;
        msix[0].GetEventFd().Signal();
        Write(PciRig.EcamAddress(msix.Offset + 2, 3, 0), 2, 0x8000);

        (routing.TableChanges - before).Should().Be(1);
        routing.ArmedCount.Should().Be(Vectors);
        Wait(() => InterruptGuest.Count(machine, First) == 1);
        for (int round = 1; round <= 3; round++)
        {
            for (int i = 0; i < Vectors; i++)
            {
                uint expected = (uint)(round + (i == 0 ? 1 : 0));
                msix[i].GetEventFd().Signal();
                Wait(() => InterruptGuest.Count(machine, (byte)(First + i)) == expected);
            }
        }

        bridge.Dispose();
        routing.ArmedCount.Should().Be(0);
        routing.RouteCount.Should().Be(0);

        void Write(ulong address, int width, ulong value) => machine.Memory.Write(address, width, value);
    }

    private static void Wait(Func<bool> condition) => SpinWait.SpinUntil(condition, Patience).Should().BeTrue();
}
