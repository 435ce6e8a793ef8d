using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 2.6.1: one queue is reset while the others run.</summary>
[Trait("Behaviour", "VTP-9")]
public sealed class QueueResetTests
{
    private const ulong Features = TestDriver.Version1 | TransportFeatures.RingReset;

    [Fact]
    public void A_queue_stops_gives_its_registers_back_and_starts_again_with_another_size()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(Features, 0, 1);
        Virtqueue? other = rig.Device.Rings[0];
        rig.Driver.Set(Reg.QueueSelect, 2, 1);
        rig.Driver.Set(Reg.QueueReset, 2, 1);

        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(64);
        rig.Driver.Get(Reg.QueueMsixVector, 2).Should().Be(VirtioPciIds.NoVector);
        rig.Driver.Get(Reg.QueueDescriptors, 8).Should().Be(0);
        rig.Device.Rings[1].Should().BeNull();
        rig.Device.Rings[0].Should().BeSameAs(other, "the other queue runs on");
        rig.Doorbells.Addresses.Should().ContainSingle().Which.Should().Be(rig.Driver.NotifyAddress(0));
        rig.Driver.Status.Should().Be(0xf);
        rig.Function.QueueResets.Should().Be(1);

        rig.Driver.SetUpQueue(1, size: 8, vector: 2);
        rig.Device.Rings[1]!.Size.Should().Be(8);
        rig.Device.Rings[0].Should().BeSameAs(other);
        rig.Doorbells.Addresses.Should().HaveCount(2);
        rig.Device.Rings[1]!.Interrupt.Signal();
        rig.Msi.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(2);
    }

    [Fact]
    public async Task It_reads_one_until_the_queue_has_stopped()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(Features, 0);
        using var entered = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        rig.Device.OnCall = call =>
        {
            if (call == "stop-queue 0")
            {
                entered.Set();
                release.Wait(TimeSpan.FromSeconds(60));
            }
        };
        rig.Driver.Set(Reg.QueueSelect, 2, 0);
        var reset = Task.Run(() => rig.Driver.Set(Reg.QueueReset, 2, 1));
        entered.Wait(TimeSpan.FromSeconds(60)).Should().BeTrue();
        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(1);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(1);
        release.Set();
        await reset.WaitAsync(TimeSpan.FromSeconds(60));
        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(0);
    }

    [Theory]
    [InlineData(TestDriver.Version1, 1)]
    [InlineData(Features, 0)]
    [InlineData(Features, 2)]
    public void Without_the_feature_or_with_another_value_nothing_happens(ulong features, int value)
    {
        using var rig = new TransportRig();
        rig.Driver.Start(features, 0);
        rig.Driver.Set(Reg.QueueSelect, 2, 0);
        rig.Driver.Set(Reg.QueueReset, 2, (uint)value);

        rig.Device.Rings[0].Should().NotBeNull();
        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(1);
        rig.Function.CountOf(GuestMistake.QueueResetIgnored).Should().Be(1);
    }

    [Fact]
    public void A_queue_that_failed_to_start_can_be_reset()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(Features, 0);
        rig.Driver.SetUpQueue(1, enable: false);
        rig.Driver.Set(Reg.QueueDriver, 8, 1);
        rig.Driver.Set(Reg.QueueEnable, 2, 1);
        rig.Driver.Status.Should().Be(0x4f);
        rig.Driver.Set(Reg.QueueReset, 2, 1);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(0);
        rig.Device.Rings[0].Should().NotBeNull();
    }
}
