using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>DRIVER_OK, once and only once, and what happens when the device cannot start.</summary>
public sealed class ActivationTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(new int[0])]
    [InlineData(new[] { 0 })]
    [InlineData(new[] { 1 })]
    [InlineData(new[] { 0, 1 })]
    [Trait("Behaviour", "VTP-6")]
    public void Any_subset_of_queues_may_be_enabled(int[] queues)
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: queues);

        rig.Driver.Status.Should().Be(0xf);
        rig.Device.Calls.Should().Equal(new[] { "reset", "start" }.Concat(queues.Select(q => $"start-queue {q}")));
        rig.Device.Rings.Select((ring, i) => ring is not null ? i : -1).Where(i => i >= 0).Should().Equal(queues);
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public void The_ring_is_the_one_that_the_driver_programmed()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(1, size: 8);
        rig.Driver.Status = 0xf;

        rig.Device.Rings[1]!.Size.Should().Be(8);
        rig.Device.Rings[1]!.Index.Should().Be(1);
        rig.Device.Rings[1]!.IsBroken.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public async Task Two_threads_that_set_DRIVER_OK_at_once_activate_once()
    {
        using var rig = new TransportRig();
        for (int round = 0; round < 200; round++)
        {
            rig.Driver.Negotiate().Should().BeTrue();
            rig.Driver.SetUpQueue(0);
            using var barrier = new Barrier(2);
            Task[] threads = Enumerable.Range(0, 2).Select(_ => Task.Run(() =>
            {
                barrier.SignalAndWait(Long);
                rig.Memory.Write(rig.Driver.Common + Reg.DeviceStatus, 1, 0xf);
            })).ToArray();
            await Task.WhenAll(threads).WaitAsync(Long);

            rig.Driver.Status.Should().Be(0xf);
        }

        rig.Device.Count("start").Should().Be(200);
        rig.Device.Count("start-queue 0").Should().Be(200);
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    [Trait("Behaviour", "VTP-18")]
    public async Task Registers_and_configuration_are_read_while_the_device_starts()
    {
        using var rig = new TransportRig();
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        rig.Device.OnCall = call =>
        {
            if (call == "start")
            {
                entered.Set();
                release.Wait(Long);
            }
        };
        var starting = Task.Run(() => rig.Driver.Start(queues: 0));
        entered.Wait(Long).Should().BeTrue();

        rig.Dump().Should().Contain("status f");
        rig.Memory.Read(rig.Driver.Config, 4).Should().Be(0x04030201);
        rig.Memory.Write(rig.Driver.Config, 1, 9);
        rig.Driver.Status = 0xf;
        starting.IsCompleted.Should().BeFalse();
        release.Set();
        await starting.WaitAsync(Long);
        rig.Device.Count("start").Should().Be(1);
    }

    [Theory]
    [InlineData("start")]
    [InlineData("start-queue 1")]
    [Trait("Behaviour", "VTP-6")]
    [Trait("Behaviour", "VTP-16")]
    public void A_device_that_fails_to_start_needs_a_reset_and_says_so(string failing)
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 0);
        rig.Device.OnCall = call =>
        {
            if (call == failing)
            {
                throw new InvalidOperationException("out of luck");
            }
        };
        rig.Driver.Negotiate();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 0);
        rig.Driver.SetUpQueue(0, vector: 1);
        rig.Driver.SetUpQueue(1, vector: 2);
        rig.Driver.Status = 0xf;

        rig.Driver.Status.Should().Be(0x4f);
        rig.Msi.Sent.Select(m => m.Message.Data).Should().Equal([0u], "the configuration interrupt");
        rig.Device.Rings[0].Should().BeNull("what had been started was stopped");
        rig.Doorbells.Addresses.Should().BeEmpty();

        rig.Device.OnCall = static _ => { };
        rig.Driver.Start(queues: [0, 1]);
        rig.Driver.Status.Should().Be(0xf, "a reset cures it");
        rig.Device.Rings.Should().OnlyContain(ring => ring != null);
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    [Trait("Behaviour", "VTP-16")]
    public void A_ring_outside_of_memory_needs_a_reset_and_nothing_starts()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(0);
        rig.Driver.SetUpQueue(1, enable: false);
        rig.Driver.Set(Reg.QueueDevice, 8, 0xffff_ffff_ffff_f000);
        rig.Driver.Set(Reg.QueueEnable, 2, 1);
        rig.Driver.Status = 0xf;

        rig.Driver.Status.Should().Be(0x4f);
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Function.CountOf(GuestMistake.BadRing).Should().Be(1);
        rig.Wire.IsAsserted.Should().BeTrue("INTx announces it where MSI-X is off");
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "VTP-6")]
    public void A_queue_may_be_enabled_after_DRIVER_OK()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Device.Rings[1].Should().BeNull();
        rig.Driver.SetUpQueue(1);

        rig.Device.Rings[1].Should().NotBeNull();
        rig.Device.Count("start").Should().Be(1);
        rig.Device.Count("start-queue 0").Should().Be(1);
        rig.Doorbells.Addresses.Should().HaveCount(2);
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_device_that_breaks_down_sets_NEEDS_RESET_once_and_stays_stoppable()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Negotiate();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 0);
        rig.Driver.SetUpQueue(0, vector: 1);
        rig.Driver.Status = 0xf;
        rig.Device.LastHost!.NeedsReset("a ring broke");
        rig.Device.LastHost!.NeedsReset("and again");

        rig.Driver.Status.Should().Be(0x4f);
        rig.Msi.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0);
        rig.Driver.Status = 0xf;
        rig.Driver.Status.Should().Be(0x4f, "a driver does not clear the device's bit");
        rig.Driver.Status = 0;
        rig.Driver.Status.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void The_host_is_deaf_after_the_reset()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        IVirtioDeviceHost old = rig.Device.LastHost!;
        rig.Driver.Start(queues: 0);
        old.NeedsReset("too late");
        old.ConfigurationChanged();

        rig.Driver.Status.Should().Be(0xf);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(0);
    }

    [Fact]
    public void Disposing_the_function_stops_and_disposes_the_device()
    {
        var rig = new TransportRig();
        rig.Driver.Start(queues: [0, 1]);
        rig.Dispose();

        rig.Device.Calls.TakeLast(3).Should().Equal("stop-queue 0", "stop-queue 1", "dispose");
    }

    [Fact]
    public void What_a_last_access_set_off_does_nothing_to_a_disposed_device()
    {
        var rig = new TransportRig();
        rig.Driver.Negotiate();
        rig.Driver.SetUpQueue(0);
        rig.Dispose();
        int calls = rig.Device.Calls.Count;
        rig.Function.WriteBar(0, Reg.DeviceStatus, 1, 0xf);
        rig.Function.WriteBar(0, Reg.DeviceStatus, 1, 0);

        rig.Device.Calls.Should().HaveCount(calls);
    }
}
