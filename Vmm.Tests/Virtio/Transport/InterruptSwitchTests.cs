using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Events that come while the driver goes from one mechanism to the other (virtio 1.2, 4.1.5.3 and 4.1.5.4).</summary>
[Trait("Behaviour", "VTP-12")]
public sealed class InterruptSwitchTests
{
    private const int Timeout = 20_000;

    // Which of the two threads that wait for the vector gets it first is chance; what follows is not.
    [Fact]
    [Trait("Behaviour", "MSIX-8")]
    public void An_event_while_MSIX_goes_off_is_told_once()
    {
        for (int round = 0; round < 200; round++)
        {
            using var rig = new TransportRig();
            rig.Driver.EnableMsix();
            rig.Driver.Start(queues: 0);
            IInterruptVector vector = rig.Device.Rings[0]!.Interrupt;
            using var sending = new ManualResetEventSlim();
            using var goOn = new ManualResetEventSlim();
            rig.Msi.Arrived = () =>
            {
                sending.Set();
                goOn.Wait(Timeout).Should().BeTrue();
            };

            // The first event is on its way out and holds the vector; the second has seen that MSI-X is enabled and waits for it.
            var first = new Thread(vector.Signal);
            first.Start();
            sending.Wait(Timeout).Should().BeTrue();
            var second = new Thread(vector.Signal);
            second.Start();
            Thread.SpinWait(2000);
            var guest = new Thread(rig.Driver.DisableMsix);
            guest.Start();
            Eventually.Holds(() => !rig.Function.Msix!.IsEnabled, "the driver's write is under way");
            goOn.Set();
            first.Join();
            second.Join();
            guest.Join();

            int messages = rig.Msi.Sent.Count - 1;
            int status = (int)rig.Memory.Read(rig.Driver.Isr, 1);
            (messages + status).Should().Be(1, "the event is told by a message or by the ISR, in round {0}", round);
            rig.Driver.EnableMsix();
            (rig.Msi.Sent.Count - 1).Should().Be(messages, "nothing of it is left");
        }
    }

    [Fact]
    public void An_event_while_MSIX_goes_on_is_not_given_to_a_silent_pin()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.DisableMsix();
        rig.Driver.Start(queues: 0);
        rig.Driver.Set(Reg.QueueSelect, 2, 0);
        rig.Driver.Set(Reg.QueueMsixVector, 2, 1);
        using var driving = new ManualResetEventSlim();
        using var goOn = new ManualResetEventSlim();
        rig.Wire.Driven = _ =>
        {
            driving.Set();
            goOn.Wait(Timeout).Should().BeTrue();
        };

        // Another event drives the pin and holds the ISR; the queue's has seen that MSI-X is disabled and waits for it.
        var other = new Thread(() => rig.Device.LastHost!.ConfigurationChanged());
        other.Start();
        driving.Wait(Timeout).Should().BeTrue();
        var queue = new Thread(rig.Device.Rings[0]!.Interrupt.Signal);
        queue.Start();
        Eventually.Holds(() => queue.ThreadState.HasFlag(ThreadState.WaitSleepJoin), "the queue's event waits");
        var guest = new Thread(() => rig.Driver.EnableMsix());
        guest.Start();
        Eventually.Holds(() => rig.Function.Msix!.IsEnabled, "the driver's write is under way");
        rig.Wire.Driven = null;
        goOn.Set();
        other.Join();
        queue.Join();
        guest.Join();

        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Msi.Sent.Select(m => m.Message.Data).Should().Equal([1u], "the queue's event is a message now");
    }
}
