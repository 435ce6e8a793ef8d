using System;
using System.Diagnostics;
using System.Threading;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Tests.Pci;

namespace Vmm.Tests.Kvm;

/// <summary>MSI-X of a function of ours against a guest's own interrupt handler, which counts: exact numbers whatever races.</summary>
[Trait("Category", "Long")]
public sealed class MsixStressTests
{
    private const byte First = 0x40;
    private const byte Second = 0x41;
    private const int Events = 150;
    private static readonly int Runs = KvmAvailability.Rounds(20, 3);
    private static readonly TimeSpan Limit = KvmAvailability.Patience(60);

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    [Trait("Behaviour", "MSIX-8")]
    public void A_guest_takes_each_event_once_while_masks_and_messages_change(bool functionMask)
    {
        for (int run = 0; run < Runs; run++)
        {
            RunOnce(functionMask, run);
        }
    }

    private static void RunOnce(bool functionMask, int run)
    {
        using var machine = new TestMachine(1, interruptController: true);
        InterruptGuest.Load(machine, [First, Second]);
        machine.Group.Start();
        SpinWait.SpinUntil(() => InterruptGuest.IsReady(machine), Limit).Should().BeTrue();
        MsixCapability msix = Make(machine, out PciFunction function);
        bool stop = false;
        int toggles = 0;
        using var started = new ManualResetEventSlim();
        var masker = new Thread(() =>
        {
            for (uint i = 0; !Volatile.Read(ref stop); i++)
            {
                Mask(function, msix, functionMask, true);
                if (i % 3 == 0)
                {
                    // An address or data that changes does so while the entry is masked (PCI 3.0, 6.8.3.5).
                    Write(msix, 12, 1);
                    Write(msix, 8, i % 2 == 0 ? First : Second);
                    Write(msix, 12, 0);
                }

                Mask(function, msix, functionMask, false);
                toggles++;
                started.Set();
            }
        });
        masker.Start();
        started.Wait(Limit).Should().BeTrue();
        try
        {
            for (uint i = 1; i <= Events; i++)
            {
                msix[1].Signal();
                long start = Stopwatch.GetTimestamp();
                var spin = default(SpinWait);
                while (Taken(machine) < i && Stopwatch.GetElapsedTime(start) < Limit)
                {
                    spin.SpinOnce();
                }

                Taken(machine).Should().Be(i, $"run {run}: every event is taken once");
            }
        }
        finally
        {
            Volatile.Write(ref stop, true);
            masker.Join();
        }

        toggles.Should().BePositive();
        msix[1].IsPending.Should().BeFalse();
        msix[1].Sent.Should().Be(Events);
        Taken(machine).Should().Be(Events);
    }

    private static uint Taken(TestMachine machine) => InterruptGuest.Count(machine, First) + InterruptGuest.Count(machine, Second);

    private static MsixCapability Make(TestMachine machine, out PciFunction function)
    {
        var bus = new PciBus(0, new PciBusOptions { Memory = machine.Memory, MsiSink = machine.Machine.Msi });
        var msix = new MsixCapability(2, 0, 0, 0, 0x800);
        function = PciRig.Function(new PciBar(0, PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msix);
        bus.Add(function, 1);
        function.WriteConfiguration(4, 2, 4);
        function.WriteConfiguration(msix.Offset + 2, 2, 0x8000);
        Write(msix, 0, 0xfee0_0000);
        Write(msix, 8, First);
        Write(msix, 12, 0);
        return msix;
    }

    private static void Mask(PciFunction function, MsixCapability msix, bool functionMask, bool masked)
    {
        if (functionMask)
        {
            function.WriteConfiguration(msix.Offset + 3, 1, masked ? 0xc0u : 0x80u);
        }
        else
        {
            Write(msix, 12, masked ? 1u : 0);
        }
    }

    private static void Write(MsixCapability msix, ulong field, uint value) => msix.TableHandler.Write(16 + field, 4, value);
}
