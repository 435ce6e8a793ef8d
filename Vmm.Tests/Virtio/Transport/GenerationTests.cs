using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.5 and 4.1.4.3.1: configuration that changes under a driver's eyes.</summary>
[Trait("Behaviour", "VTP-10")]
public sealed class GenerationTests
{
    [Fact]
    public void The_generation_stands_still_while_nothing_changes()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        for (int i = 0; i < 10; i++)
        {
            rig.Memory.Read(rig.Driver.Config + 8, 4);
            rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(0);
        }

        rig.Memory.Write(rig.Driver.Config, 4, 1);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(0, "the driver knows what it wrote");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(256)]
    [InlineData(512)]
    public void Any_number_of_changes_between_two_looks_moves_it_by_one(int changes)
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Memory.Read(rig.Driver.Config, 4);
        for (int i = 0; i < changes; i++)
        {
            rig.Device.Change(() => rig.Device.Configuration[0]++);
            rig.Device.LastHost!.ConfigurationChanged();
        }

        rig.Memory.Read(rig.Driver.Config, 4);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(1);
        rig.Memory.Read(rig.Driver.Config, 4);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(1);
    }

    [Fact]
    public void A_change_that_the_device_only_announces_counts_too()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Device.Configuration[3] = 99;
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(1);
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Memory.Read(rig.Driver.Config, 1);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().Be(2);
    }

    [Fact]
    public void A_change_between_two_halves_is_seen_also_before_DRIVER_OK()
    {
        using var rig = new TransportRig();
        rig.Driver.Negotiate();
        ulong before = rig.Driver.Get(Reg.ConfigGeneration, 1);
        rig.Memory.Read(rig.Driver.Config, 4);
        rig.Device.Change(() => rig.Device.Configuration[0]++);
        rig.Memory.Read(rig.Driver.Config + 4, 4);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().NotBe(before);
        rig.Wire.IsAsserted.Should().BeFalse("no notification comes before DRIVER_OK");
    }

    [Fact]
    public void A_look_while_a_change_is_being_made_never_gives_the_generation_that_stays()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        ulong inside = 0;
        ulong again = 0;
        rig.Device.Change(() =>
        {
            inside = rig.Driver.Get(Reg.ConfigGeneration, 1);
            again = rig.Driver.Get(Reg.ConfigGeneration, 1);
        });

        again.Should().NotBe(inside);
        rig.Driver.Get(Reg.ConfigGeneration, 1).Should().NotBe(again);
    }

    [Fact]
    public async Task A_driver_that_reads_as_the_specification_says_never_sees_a_torn_value()
    {
        using var rig = new TransportRig(new FakeVirtioDevice { Configuration = new byte[8] });
        rig.Driver.Start(queues: 0);
        using var stop = new CancellationTokenSource();
        var changing = Task.Run(() =>
        {
            for (byte value = 0; !stop.IsCancellationRequested; value++)
            {
                byte next = value;
                rig.Device.Change(() =>
                {
                    for (int i = 0; i < 8; i++)
                    {
                        Volatile.Write(ref rig.Device.Configuration[i], next);
                    }
                });
                rig.Device.LastHost!.ConfigurationChanged();
            }
        });

        int torn = 0;
        int read = 0;
        for (int i = 0; i < 20_000; i++)
        {
            ulong before = rig.Driver.Get(Reg.ConfigGeneration, 1);
            ulong low = rig.Memory.Read(rig.Driver.Config, 4);
            ulong high = rig.Memory.Read(rig.Driver.Config + 4, 4);
            if (rig.Driver.Get(Reg.ConfigGeneration, 1) == before)
            {
                read++;
                torn += low == high && (low & 0xff) * 0x01010101 == low ? 0 : 1;
            }
        }

        await stop.CancelAsync();
        await changing;
        torn.Should().Be(0);
        read.Should().BePositive();
    }

    [Fact]
    public void A_configuration_interrupt_follows_each_change_after_DRIVER_OK()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Negotiate();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 0);
        rig.Driver.Status = 0xf;
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Msi.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(2, "the bit is set in either mode");
    }

    [Fact]
    public void The_interrupt_never_comes_before_the_change()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Negotiate();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 0);
        rig.Driver.Status = 0xf;
        var seen = new List<(ulong Value, ulong Generation)>();
        rig.Msi.Arrived = () => seen.Add((rig.Memory.Read(rig.Driver.Config, 1), rig.Driver.Get(Reg.ConfigGeneration, 1)));
        for (byte value = 100; value < 103; value++)
        {
            byte next = value;
            rig.Device.Change(() => rig.Device.Configuration[0] = next);
            rig.Msi.Count.Should().Be(value - 100, "a change that is not announced yet interrupts nobody");
            rig.Device.LastHost!.ConfigurationChanged();
        }

        seen.Select(s => s.Value).Should().Equal(100, 101, 102);
        seen.Select(s => s.Generation).Should().Equal(1, 2, 3);
    }

    [Fact]
    public void The_register_wraps_and_still_moves()
    {
        var generation = new ConfigurationGeneration();
        generation.PowerOn(0);
        for (uint change = 1; change < 1000; change++)
        {
            generation.OnDriverRead(2 * change).Should().Be((byte)change);
            generation.OnDriverRead(2 * change).Should().Be((byte)change);
        }
    }
}
