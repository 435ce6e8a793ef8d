using System;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Kvm;
using Vmm.Pci.Host;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Kvm;

/// <summary>Queues of a virtio function that are signalled by eventfd alone, on the kernel's irqfds.</summary>
[Trait("Behaviour", "CON-1")]
public sealed class QueueEventFdTests
{
    private const byte First = 0x40;
    private static readonly TimeSpan Patience = KvmAvailability.Patience(20);

    [KvmFact]
    [Trait("Behaviour", "MSIX-5")]
    [Trait("Behaviour", "MSIX-8")]
    [Trait("Behaviour", "VTP-11")]
    [Trait("Behaviour", "VTP-13")]
    public void The_kernel_delivers_while_the_vector_is_unmasked_and_masks_maps_and_the_pin_are_followed()
    {
        using var machine = new TestMachine(interruptController: true);
        InterruptGuest.Load(machine, [First, First + 1, First + 2]);
        machine.Group.Start();
        Wait(() => InterruptGuest.IsReady(machine));
        using var memory = HostMemory.AllocateAnonymous(TransportRig.RamLength);
        var ram = new GuestMemory();
        ram.Add(0, memory, 0, TransportRig.RamLength);
        var lines = new RecordingInterruptLines();
        using var bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = machine.Memory,
            Ports = machine.Ports,
            MsiSink = machine.Machine.Msi,
            IrqRouting = machine.Machine.IrqRouting,
            InterruptLines = lines,
            EcamBase = TransportRig.EcamBase,
        });
        bridge.ClaimConfigurationAccess();
        var device = new FakeVirtioDevice();
        var function = new VirtioPciFunction(device, new DmaTarget(ram));
        bridge.Root.Add(function, 1);
        var driver = new TestDriver(machine.Memory, TransportRig.EcamBase + (1 << 15));
        driver.Place(TransportRig.BarBase);
        driver.EnableMsix(InterruptGuest.LocalApic, First);
        driver.Start(queues: [0, 1]);
        KvmIrqRouting routing = machine.Machine.IrqRouting;
        routing.ArmedCount.Should().Be(0, "nobody has asked for an eventfd");
        EventFd[] eventFds = [.. device.Resources.Select(queue => queue!.Interrupt.GetEventFd())];
        routing.ArmedCount.Should().Be(2);

        eventFds[0].Signal();
        Taken(0, 1, 0);
        eventFds[1].Signal();
        Taken(0, 1, 1);
        driver.MapQueue(1, 1);
        eventFds[1].Signal();
        Taken(0, 2, 1);
        driver.MaskVector(1, true);
        routing.ArmedCount.Should().Be(0, "both queues are mapped to it");
        eventFds[0].Signal();
        eventFds[1].Signal();
        driver.PendingBits().Should().Be(2);
        Taken(0, 2, 1);
        driver.MaskVector(1, false);
        Taken(0, 3, 1);
        routing.ArmedCount.Should().Be(2);
        driver.WriteVectorData(1, First);
        eventFds[0].Signal();
        Taken(1, 3, 1);
        driver.MapQueue(1, 2);
        uint before = Total();
        for (uint i = 1; i <= 200; i++)
        {
            // One at a time, while the driver masks, maps and unmasks: each is taken once.
            eventFds[1].Signal();
            driver.MaskVector(2, true);
            driver.MapQueue(1, (ushort)(i % 2 == 0 ? 0 : 2));
            driver.MaskVector(2, false);
            Wait(() => Total() == before + i);
        }

        driver.DisableMsix();
        routing.ArmedCount.Should().Be(0);
        RecordingInterruptLine wire = lines[bridge.Root.InterruptRouting.GetGsi(1, function.Intx.Pin)];
        eventFds[0].Signal();
        Wait(() => wire.IsAsserted);
        machine.Memory.Read(driver.Isr, 1).Should().Be(1);
        wire.IsAsserted.Should().BeFalse();

        driver.Status = 0;
        routing.RouteCount.Should().Be(0);
        Total().Should().Be(before + 200);

        uint Total() => (uint)Enumerable.Range(First, 3).Sum(vector => InterruptGuest.Count(machine, (byte)vector));

        void Taken(uint first, uint second, uint third)
        {
            uint[] expected = [first, second, third];
            Wait(() => Enumerable.Range(0, 3).All(i => InterruptGuest.Count(machine, (byte)(First + i)) == expected[i]));
        }
    }

    private static void Wait(Func<bool> condition) => SpinWait.SpinUntil(condition, Patience).Should().BeTrue();
}
