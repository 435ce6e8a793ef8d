using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Function-level reset (PCIe base, 6.6.2) and D3hot (PCI-PM 1.2, 5.4.1) of a virtio function, by registers alone.</summary>
[Trait("Behaviour", "PCI-13")]
public sealed class FunctionResetTests
{
    private const int PowerManagement = 1;
    private const int Express = 0x10;
    private const int Msix = 0x11;

    [Fact]
    public void On_a_root_bus_the_function_is_an_integrated_endpoint_with_function_level_reset()
    {
        using var rig = new TransportRig();
        int express = Find(rig, Express);
        (rig.Driver.ReadConfig(express + 2, 2) & 0xff).Should().Be(0x92, "version 2, type 9");
        (rig.Driver.ReadConfig(express + 4, 4) >> 28).Should().Be(1, "FLR");
        rig.Driver.ReadConfig(express + 0xa, 2).Should().Be(0, "no transactions are pending");
        rig.Driver.ReadConfig(Find(rig, PowerManagement) + 4, 2).Should().Be(8, "D0, and nothing is lost in D3hot");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Function_level_reset_leaves_nothing_of_what_was(bool inD3)
    {
        using var fresh = new TransportRig();
        using var rig = new TransportRig();
        TestDriver driver = rig.Driver;
        driver.EnableMsix();
        driver.Start(TestDriver.Version1 | 0x55, 0, 1);
        driver.Set(Reg.ConfigMsixVector, 2, 0);
        driver.Set(Reg.DeviceFeatureSelect, 4, 1);
        driver.AimWindow(0, 8, 4);
        driver.WriteConfig(0x0c, 1, 0x10);
        driver.WriteConfig(0x3c, 1, 11);
        int msix = Find(rig, Msix);
        driver.WriteConfig(msix + 2, 2, 0xc000);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Device.LastHost!.ConfigurationChanged();
        Pending(rig).Should().NotBe(0);
        int express = Find(rig, Express);
        if (inD3)
        {
            driver.WriteConfig(Find(rig, PowerManagement) + 4, 2, 3);
        }

        driver.WriteConfig(express + 8, 2, driver.ReadConfig(express + 8, 2) | 0x8000);

        rig.Device.Calls.Last().Should().Be("reset");
        rig.Device.Rings.Should().OnlyContain(ring => ring == null);
        rig.Doorbells.Addresses.Should().BeEmpty();
        rig.Function.IsBusMaster.Should().BeFalse();
        rig.Wire.IsAsserted.Should().BeFalse();
        fresh.Driver.WriteConfig(4, 2, 0);
        fresh.Driver.WriteConfig(0x10, 4, 0);
        Configuration(rig).Should().Equal(Configuration(fresh));
        rig.Memory.Read(TransportRig.BarBase, 4).Should().Be(uint.MaxValue, "no BAR decodes");

        fresh.Driver.Place(TransportRig.BarBase);
        driver.Place(TransportRig.BarBase);
        rig.Dump().Should().Be(fresh.Dump());
        rig.Memory.Read(driver.Isr, 1).Should().Be(0);
        Pending(rig).Should().Be(0);
        uint table = driver.ReadConfig(msix + 4, 4) & ~7u;
        for (uint vector = 0; vector < 3; vector++)
        {
            rig.Memory.Read(TransportRig.BarBase + table + (16 * vector), 8).Should().Be(0);
            rig.Memory.Read(TransportRig.BarBase + table + (16 * vector) + 8, 8).Should().Be(1UL << 32, "masked");
        }

        rig.Msi.Sent.Should().BeEmpty("what was pending is forgotten");
        driver.EnableMsix();
        driver.Start(queues: [0, 1]);
        rig.Device.Rings.Should().OnlyContain(ring => ring != null, "the function works as if it were new");
        rig.Device.Rings[1]!.Interrupt.Signal();
        rig.Msi.Sent.Should().ContainSingle();
    }

    [Fact]
    public async Task The_write_that_asks_for_a_reset_returns_when_requests_in_flight_have_ended()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        using var entered = new ManualResetEventSlim();
        using var inFlight = new ManualResetEventSlim();
        rig.Device.OnCall = call =>
        {
            if (call == "stop-queue 0")
            {
                entered.Set();
                inFlight.Wait(TimeSpan.FromSeconds(60));
            }
        };
        int express = Find(rig, Express);
        var write = Task.Run(() => rig.Driver.WriteConfig(express + 8, 2, 0x8000));
        entered.Wait(TimeSpan.FromSeconds(60)).Should().BeTrue();
        rig.Function.IsBusMaster.Should().BeFalse("nothing is read or written from the beginning of the reset");
        write.IsCompleted.Should().BeFalse();
        inFlight.Set();
        await write.WaitAsync(TimeSpan.FromSeconds(60));
        rig.Function.DeviceStatus.Should().Be(DeviceStatus.None);
    }

    [Fact]
    public void Resets_from_two_vCPUs_at_once_with_starts_between_end_in_a_state_that_is_true()
    {
        using var rig = new TransportRig();
        int express = Find(rig, Express);
        for (int round = 0; round < 50; round++)
        {
            rig.Driver.Place(TransportRig.BarBase);
            rig.Driver.Negotiate().Should().BeTrue();
            rig.Driver.SetUpQueue(0);
            ulong status = rig.Driver.Common + Reg.DeviceStatus;
            Parallel.Invoke(
                () => rig.Driver.WriteConfig(express + 8, 2, 0x8000),
                () => rig.Driver.WriteConfig(express + 8, 2, 0x8000),
                () => rig.Memory.Write(status, 1, 0xf));
            rig.Function.DeviceStatus.Should().Be(DeviceStatus.None);
            rig.Device.Rings[0].Should().BeNull();
            rig.Doorbells.Addresses.Should().BeEmpty();
        }
    }

    [Fact]
    public void In_D3hot_nothing_decodes_masters_or_interrupts_and_D0_goes_on_where_it_was()
    {
        using var rig = new TransportRig();
        TestDriver driver = rig.Driver;
        driver.EnableMsix();
        driver.Start(queues: [0, 1]);
        ulong notify = driver.NotifyAddress(0);
        string before = rig.Dump();
        Virtqueue ring = rig.Device.Rings[0]!;
        int power = Find(rig, PowerManagement);

        driver.WriteConfig(power + 4, 2, 3);

        rig.Memory.Read(driver.Common, 4).Should().Be(uint.MaxValue);
        rig.Doorbells.Addresses.Should().BeEmpty("doorbells decode like the BAR");
        rig.Memory.Write(notify, 2, 0);
        MakeAvailable(rig);
        Pop(ring).Should().BeFalse("the function does not master the bus");
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeFalse();
        ring.Interrupt.Signal();
        rig.Msi.Sent.Should().BeEmpty();
        driver.ReadConfig(0, 4).Should().Be(0x1042_1af4);

        driver.WriteConfig(power + 4, 2, 0);

        rig.Msi.Sent.Should().ContainSingle("the event became pending");
        rig.Device.Kicks[0]!.TryConsume(out _).Should().BeTrue("the device looks at its rings, whose notifications it cannot have seen");
        Pop(ring).Should().BeTrue();
        rig.Dump().Should().Be(before);
        rig.Doorbells.Addresses.Should().HaveCount(2);
        rig.Device.Calls.Last().Should().Be("start-queue 1", "nothing was stopped or reset");
    }

    [Fact]
    public void A_pin_is_silent_in_D3hot_and_speaks_again_in_D0()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = 0 });
        rig.Driver.Start(queues: 0);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Wire.IsAsserted.Should().BeTrue();
        int power = Find(rig, PowerManagement);
        rig.Driver.WriteConfig(power + 4, 2, 3);
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Driver.WriteConfig(power + 4, 2, 0);
        rig.Wire.IsAsserted.Should().BeTrue();
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(1);
        rig.Wire.IsAsserted.Should().BeFalse();
    }

    private static int Find(TransportRig rig, byte id) => rig.Driver.Capabilities.Single(c => c.Id == id).Offset;

    private static ulong Pending(TransportRig rig)
    {
        uint offset = rig.Driver.ReadConfig(Find(rig, Msix) + 8, 4) & ~7u;
        return rig.Memory.Read(rig.Driver.Bar + offset, 8);
    }

    private static uint[] Configuration(TransportRig rig)
    {
        return [.. Enumerable.Range(0, 1024).Select(register => rig.Driver.ReadConfig(4 * register, 4))];
    }

    private static void MakeAvailable(TransportRig rig)
    {
        using (rig.Domain.Enter())
        {
            rig.Ram.TryWrite(TestDriver.Areas(0).Driver + 2, [1, 0]).Should().BeTrue();
        }
    }

    private static bool Pop(Virtqueue ring)
    {
        using (ring.Enter())
        {
            return ring.TryPop(new DescriptorChain());
        }
    }
}
