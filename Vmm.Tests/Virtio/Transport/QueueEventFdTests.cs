using System;
using System.IO;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>
/// Queues of a device that signals only by eventfd, as a kernel or another process does: the driver sees what virtio 1.2, 4.1.4.5, 4.1.5.1.2 and 4.1.5.3
/// and PCI 3.0, 6.8.3 say, with routes of the hypervisor's and without.
/// </summary>
[Trait("Behaviour", "CON-1")]
public sealed class QueueEventFdTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    private WatchingIrqRouting? _kernel;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "MSIX-4")]
    [Trait("Behaviour", "MSIX-5")]
    [Trait("Behaviour", "MSIX-8")]
    [Trait("Behaviour", "VTP-11")]
    public void Masks_pending_bits_and_messages_work_and_follow_the_mapping(bool routed)
    {
        using TransportRig rig = Start(routed, out EventFd eventFd);
        eventFd.Signal();
        Sent(rig, 1);
        rig.Driver.MaskVector(1, true);
        eventFd.Signal();
        eventFd.Signal();
        rig.Driver.PendingBits().Should().Be(2, "both are one event of a masked vector");
        eventFd.Signal();
        rig.Msi.Count.Should().Be(1);
        rig.Driver.MaskVector(1, false);
        Sent(rig, 1, 1);
        rig.Driver.PendingBits().Should().Be(0);

        rig.Driver.WriteVectorData(1, 0x77);
        eventFd.Signal();
        Sent(rig, 1, 1, 0x77);
        rig.Driver.MapQueue(0, 2);
        eventFd.Signal();
        Sent(rig, 1, 1, 0x77, 2);
        rig.Driver.WriteMsixControl(0xc000);
        eventFd.Signal();
        rig.Driver.PendingBits().Should().Be(4);
        rig.Driver.WriteMsixControl(0x8000);
        Sent(rig, 1, 1, 0x77, 2, 2);
        rig.Driver.WriteConfig(4, 2, 2);
        eventFd.Signal();
        rig.Driver.PendingBits().Should().Be(4, "a function that must not master the bus keeps its messages");
        rig.Driver.WriteConfig(4, 2, 6);
        Sent(rig, 1, 1, 0x77, 2, 2, 2);

        rig.Device.Resources[0]!.Interrupt.GetEventFd().Should().BeSameAs(eventFd);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
        (_kernel?.Delivered ?? 0).Should().Be(routed ? 3 : 0, "an unmasked vector is the hypervisor's where it has routes");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "VTP-11")]
    public void An_event_of_a_queue_without_a_vector_is_told_to_nobody(bool routed)
    {
        using TransportRig rig = Start(routed, out EventFd eventFd);
        rig.Driver.MapQueue(0, VirtioPciIds.NoVector);
        eventFd.Signal();
        Eventually.Holds(() => CountOf(eventFd) == 0, "somebody takes it");
        rig.Driver.MapQueue(0, 1);
        eventFd.Signal();
        Sent(rig, 1);
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "VTP-12")]
    [Trait("Behaviour", "VTP-13")]
    public void With_MSIX_off_it_is_the_ISR_and_the_pin(bool routed)
    {
        using TransportRig rig = Start(routed, out EventFd eventFd);
        rig.Driver.DisableMsix();
        for (int round = 0; round < 3; round++)
        {
            eventFd.Signal();
            Eventually.Holds(() => rig.Wire.IsAsserted, "the pin is asserted");
            rig.Driver.PendingBits().Should().Be(0);
            rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(1);
            rig.Wire.IsAsserted.Should().BeFalse();
        }

        rig.Msi.Count.Should().Be(0);
        rig.Driver.EnableMsix();
        eventFd.Signal();
        Sent(rig, 1);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-13")]
    public void A_function_without_MSIX_has_the_ISR_and_the_pin()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = 0 });
        rig.Driver.Start(queues: 0);
        rig.Device.Resources[0]!.Interrupt.GetEventFd().Signal();
        Eventually.Holds(() => rig.Wire.IsAsserted, "the pin is asserted");
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-5")]
    public void What_is_signalled_with_MSIX_off_is_told_by_message_once_it_is_on_or_by_the_ISR_but_not_lost_in_a_pending_bit()
    {
        using TransportRig rig = Start(false, out EventFd eventFd);
        rig.Driver.DisableMsix();
        for (int round = 0; round < 200; round++)
        {
            eventFd.Signal();
            rig.Driver.PendingBits().Should().Be(0, "a look at the bits does not take what is the pin's");
            Eventually.Holds(() => rig.Memory.Read(rig.Driver.Isr, 1) == 1, "the ISR tells");
        }
    }

    [Fact]
    [Trait("Behaviour", "VTP-11")]
    [Trait("Behaviour", "KVM-5")]
    public void Queues_share_a_vector_and_each_has_a_route_only_while_it_is_mapped()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: [0, 1]);
        EventFd first = rig.Device.Resources[0]!.Interrupt.GetEventFd();
        EventFd second = rig.Device.Resources[1]!.Interrupt.GetEventFd();
        first.Should().NotBeSameAs(second);
        rig.Driver.MapQueue(0, 2);
        Armed().Should().BeEquivalentTo([(first, 2u), (second, 2u)]);
        int changes = rig.Routing.TableChanges;
        rig.Driver.WriteMsixControl(0xc000);
        Armed().Should().BeEmpty();
        rig.Driver.WriteMsixControl(0x8000);
        Armed().Should().BeEquivalentTo([(first, 2u), (second, 2u)]);
        (rig.Routing.TableChanges - changes).Should().Be(1, "they turn effective together");
        rig.Driver.MapQueue(1, 0);
        Armed().Should().BeEquivalentTo([(first, 2u), (second, 0u)]);
        rig.Driver.MapQueue(0, VirtioPciIds.NoVector);
        Armed().Should().BeEquivalentTo([(second, 0u)]);
        rig.Routing.LiveRoutes.Should().Be(1);
        rig.Driver.Status = 0;
        rig.Routing.LiveRoutes.Should().Be(0);

        (EventFd Source, uint Data)[] Armed() =>
            [.. rig.Routing.Routes.Where(r => r is { IsDisposed: false, Armed: not null }).Select(r => (r.Source, r.Armed!.Value.Data))];
    }

    [Fact]
    public void Where_the_hypervisor_has_no_route_left_the_messages_go_out_all_the_same()
    {
        using var rig = new TransportRig();
        rig.Routing.ArmsLeft = 0;
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: 0);
        EventFd eventFd = rig.Device.Resources[0]!.Interrupt.GetEventFd();
        rig.Function.Msix!.RefusedRoutes.Should().Be(1);
        eventFd.Signal();
        Sent(rig, 1);
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public void An_eventfd_lives_as_long_as_its_queue_runs_and_nothing_follows_a_reset()
    {
        using TransportRig rig = Start(true, out EventFd eventFd);
        IQueueInterrupt interrupt = rig.Device.Resources[0]!.Interrupt;
        rig.Driver.MaskVector(1, true);
        eventFd.Signal();
        rig.Driver.Status = 0;
        rig.Driver.PendingBits().Should().Be(0);
        rig.Driver.MaskVector(1, false);
        eventFd.Signal();
        rig.Msi.Count.Should().Be(0);
        interrupt.Invoking(i => i.GetEventFd()).Should().Throw<InvalidOperationException>("the queue does not run");

        rig.Driver.Start(queues: 0);
        EventFd next = rig.Device.Resources[0]!.Interrupt.GetEventFd();
        next.Should().NotBeSameAs(eventFd);
        next.Signal();
        Sent(rig, 1);
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void What_was_signalled_before_a_queue_stopped_is_told()
    {
        using var rig = new TransportRig(routing: _ => null);
        rig.Driver.EnableMsix();
        rig.Driver.Start(TestDriver.Version1 | TransportFeatures.RingReset, 0, 1);
        for (int round = 0; round < 100; round++)
        {
            EventFd eventFd = rig.Device.Resources[0]!.Interrupt.GetEventFd();
            rig.Driver.MaskVector(1, true);
            eventFd.Signal();
            rig.Driver.Set(CommonConfigurationOffset.QueueSelect, 2, 0);
            rig.Driver.Set(CommonConfigurationOffset.QueueReset, 2, 1);
            rig.Driver.PendingBits().Should().Be(2);
            rig.Driver.MaskVector(1, false);
            rig.Msi.Count.Should().Be(round + 1);
            rig.Driver.SetUpQueue(0, vector: 1);
        }
    }

    [Fact]
    public void The_relay_exists_only_once_an_eventfd_was_asked_for()
    {
        const string Name = "r7relay";
        var device = new FakeVirtioDevice();
        using (var rig = new TransportRig(device, new VirtioPciOptions { Name = Name }))
        {
            rig.Driver.Start(queues: 0);
            rig.Device.Rings[0]!.Interrupt.Signal();
            HasThread().Should().BeFalse();
            rig.Device.Resources[0]!.Interrupt.GetEventFd();
            Eventually.Holds(HasThread, "a relay runs");
        }

        Eventually.Holds(() => !HasThread(), "it ends with the function");

        static bool HasThread()
        {
            foreach (string task in Directory.GetDirectories("/proc/self/task"))
            {
                try
                {
                    if (File.ReadAllText($"{task}/comm").StartsWith(Name, StringComparison.Ordinal))
                    {
                        return true;
                    }
                }
                catch (IOException)
                {
                    // The thread has ended meanwhile.
                }
            }

            return false;
        }
    }

    // One signal at a time, and the next when that one has been told: each is told exactly once, whatever the driver does meanwhile.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "MSIX-8")]
    public void No_signal_is_lost_or_doubled_while_the_driver_masks_and_maps(bool routed)
    {
        const int Events = 5000;
        using TransportRig rig = Start(routed, out EventFd eventFd);
        rig.Msi.Records = false;
        bool stop = false;
        var driver = new Thread(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                rig.Driver.MaskVector(1, true);
                rig.Driver.PendingBits();
                rig.Driver.MapQueue(0, 2);
                rig.Driver.MaskVector(1, false);
                rig.Driver.MaskVector(2, true);
                rig.Driver.MapQueue(0, 1);
                rig.Driver.WriteVectorData(1, 5);
                rig.Driver.MaskVector(2, false);
            }
        });
        driver.Start();
        DateTime deadline = DateTime.UtcNow + Limit;
        int told = 0;
        for (int i = 1; i <= Events && told == i - 1; i++)
        {
            eventFd.Signal();
            var spin = default(SpinWait);
            while ((told = rig.Msi.Count) < i && DateTime.UtcNow < deadline)
            {
                spin.SpinOnce(sleep1Threshold: -1);
            }
        }

        Volatile.Write(ref stop, true);
        driver.Join();
        rig.Msi.Count.Should().Be(Events);
        rig.Driver.PendingBits().Should().Be(0);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
    }

    // The ISR is raised before the look whether MSI-X went on meanwhile, so that an event that falls into the change may be told in both ways.
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "VTP-12")]
    [Trait("Behaviour", "MSIX-8")]
    public void No_signal_is_lost_while_the_driver_switches_the_mechanism(bool routed)
    {
        const int Rounds = 1000;
        using TransportRig rig = Start(routed, out EventFd eventFd);
        rig.Msi.Records = false;
        using var barrier = new Barrier(2);
        var device = new Thread(() =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                barrier.SignalAndWait();
                Thread.SpinWait(round % 97 * 20);
                eventFd.Signal();
                barrier.SignalAndWait();
            }
        });
        device.Start();
        for (int round = 0; round < Rounds; round++)
        {
            int before = rig.Msi.Count;
            barrier.SignalAndWait();
            rig.Driver.WriteMsixControl(0);
            rig.Driver.PendingBits();
            rig.Driver.WriteMsixControl(0xc000);
            rig.Driver.WriteMsixControl(0);
            rig.Driver.WriteMsixControl(0x8000);
            barrier.SignalAndWait();
            Eventually.Holds(() => rig.Msi.Count != before || rig.Memory.Read(rig.Driver.Isr, 1) == 1, $"round {round} is told");
            Eventually.Holds(() => CountOf(eventFd) == 0, "it is taken");
            rig.Driver.PendingBits().Should().Be(0);

            // What is told twice is told by now: the relay holds the source while it tells, and mapping waits for that.
            rig.Driver.MapQueue(0, 2);
            rig.Driver.MapQueue(0, 1);
            (rig.Msi.Count - before).Should().BeLessThanOrEqualTo(1);
            rig.Memory.Read(rig.Driver.Isr, 1);
        }

        device.Join();
    }

    public void Dispose() => _kernel?.Dispose();

    private static void Sent(TransportRig rig, params uint[] data)
    {
        Eventually.Holds(() => rig.Msi.Count >= data.Length, $"message {data.Length} arrives");
        rig.Msi.Sent.Select(m => m.Message.Data).Should().Equal(data);
    }

    private static ulong CountOf(EventFd eventFd)
    {
        string line = File.ReadLines($"/proc/self/fdinfo/{eventFd.Descriptor}").First(l => l.StartsWith("eventfd-count:", StringComparison.Ordinal));
        return Convert.ToUInt64(line["eventfd-count:".Length..].Trim(), 16);
    }

    /// <summary>Queue 0 runs and is mapped to vector 1.</summary>
    private TransportRig Start(bool routed, out EventFd eventFd)
    {
        IIrqRouting? Make(IMsiSink sink) => routed ? _kernel = new WatchingIrqRouting(sink) : null;
        var rig = new TransportRig(routing: Make);
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: 0);
        eventFd = rig.Device.Resources[0]!.Interrupt.GetEventFd();
        return rig;
    }
}
