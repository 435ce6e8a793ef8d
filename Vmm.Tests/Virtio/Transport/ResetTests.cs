using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.4: writing 0, from anywhere.</summary>
[Trait("Behaviour", "VTP-7")]
public sealed class ResetTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(0xb)]
    [InlineData(0xf)]
    [InlineData(0x8f)]
    [InlineData(0x4f)]
    public void Every_register_has_its_power_on_value_after_a_reset_from_any_state(byte state)
    {
        using var fresh = new TransportRig();
        using var rig = new TransportRig();
        TestDriver driver = rig.Driver;
        driver.EnableMsix();
        if ((state & 3) != 0)
        {
            driver.Status = 1;
            driver.Status = (byte)(state & 3);
        }

        driver.Acknowledge(TestDriver.Version1 | 0x55);
        if ((state & 8) != 0)
        {
            driver.Status = 0xb;
        }

        driver.SetUpQueue(0, vector: 1);
        driver.SetUpQueue(1, size: 4, vector: 2);
        driver.Set(Reg.ConfigMsixVector, 2, 0);
        driver.Set(Reg.DeviceFeatureSelect, 4, 7);
        driver.Set(Reg.DriverFeatureSelect, 4, 9);
        driver.Set(Reg.QueueSelect, 2, 0x1234);
        if ((state & 4) != 0)
        {
            driver.Status = 0xf;
            rig.Device.LastHost!.ConfigurationChanged();
            driver.Get(Reg.ConfigGeneration, 1).Should().Be(1);
        }

        if ((state & 0x40) != 0)
        {
            rig.Device.LastHost!.NeedsReset("broken");
        }

        driver.Status = (byte)(state & 0x8f);
        driver.Status.Should().Be(state);

        driver.Status = 0;

        driver.Status.Should().Be(0);
        rig.Dump().Should().Be(fresh.Dump());
        rig.Memory.Read(driver.Isr, 1).Should().Be(0);
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Doorbells.Addresses.Should().BeEmpty();
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Device.Host.Should().BeNull();

        driver.Start(queues: [0, 1]);
        driver.Status.Should().Be(0xf, "the function works as if it were new");
        rig.Device.Rings.Should().OnlyContain(ring => ring != null);
    }

    [Fact]
    public async Task Status_reads_zero_only_when_requests_in_flight_have_ended()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        using var inFlight = new ManualResetEventSlim();
        using var entered = new ManualResetEventSlim();
        rig.Device.OnCall = call =>
        {
            if (call == "stop-queue 0")
            {
                entered.Set();
                inFlight.Wait(Long);
            }
        };
        Task<byte> reset = Task.Run(() => rig.Driver.Status = 0);
        entered.Wait(Long).Should().BeTrue();

        rig.Driver.Status.Should().Be(0xf, "the device still works on what it has");
        rig.Device.LastHost!.NeedsReset("from the worker that is being stopped");
        rig.Driver.Status.Should().Be(0xf);
        inFlight.Set();
        await reset.WaitAsync(Long);
        rig.Driver.Status.Should().Be(0);
    }

    [Fact]
    public async Task A_reset_during_activation_waits_for_it_and_wins()
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
        var start = Task.Run(() => rig.Driver.Start(queues: 0));
        entered.Wait(Long).Should().BeTrue();
        var reset = Task.Run(() => rig.Memory.Write(rig.Driver.Common + Reg.DeviceStatus, 1, 0));
        release.Set();
        await Task.WhenAll(start, reset).WaitAsync(Long);

        rig.Driver.Status.Should().Be(0);
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Device.Calls.Last().Should().Be("reset");
    }

    [Theory]
    [InlineData("stop-queue 0")]
    [InlineData("reset")]
    public void A_device_that_fails_on_its_way_down_is_reset_all_the_same(string failing)
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: [0, 1]);
        rig.Device.OnCall = call =>
        {
            if (call == failing)
            {
                rig.Device.Rings[0] = null;
                throw new InvalidOperationException("no");
            }
        };
        rig.Driver.Status = 0;

        rig.Driver.Status.Should().Be(0, "a device never answers a reset with anything else");
        rig.Device.Rings[1].Should().BeNull();
    }

    [Fact]
    public void A_reset_of_the_PCI_function_resets_the_device()
    {
        using var fresh = new TransportRig();
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: [0, 1]);
        rig.Function.Reset();

        rig.Function.DeviceStatus.Should().Be(DeviceStatus.None);
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Driver.Place(TransportRig.BarBase);
        rig.Dump().Should().Be(fresh.Dump());
    }

    [Fact]
    public void A_pending_interrupt_does_not_survive_the_reset()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: 0);
        int msix = rig.Driver.Capabilities.Single(c => c.Id == 0x11).Offset;
        rig.Driver.WriteConfig(msix + 2, 2, 0xc000);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Driver.Status = 0;
        rig.Driver.WriteConfig(msix + 2, 2, 0x8000);

        rig.Msi.Sent.Should().BeEmpty();
    }

    [Fact]
    public async Task Racing_resets_and_starts_end_in_a_state_that_is_true()
    {
        using var rig = new TransportRig();
        for (int round = 0; round < 100; round++)
        {
            rig.Driver.Negotiate().Should().BeTrue();
            rig.Driver.SetUpQueue(0);
            using var barrier = new Barrier(3);
            ulong status = rig.Driver.Common + Reg.DeviceStatus;
            await Task.WhenAll(new ulong[] { 0xf, 0, 0 }.Select(written => Task.Run(() =>
            {
                barrier.SignalAndWait(Long);
                rig.Memory.Write(status, 1, written);
            }))).WaitAsync(Long);

            (rig.Device.Rings[0] is not null).Should().Be(rig.Driver.Status == 0xf);
            rig.Doorbells.Addresses.Should().HaveCount(rig.Device.Rings[0] is not null ? 1 : 0);
        }
    }
}
