using System;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>Which features, which queues, and queues that are reset one by one.</summary>
public sealed class QueueSetUpTests
{
    private const ulong RingBits = RingFeatures.Packed | RingFeatures.IndirectDescriptors | RingFeatures.EventIndex;

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(RingBits, 0, 0, RingBits)]
    [InlineData(RingBits, 0, RingFeatures.Packed, RingFeatures.IndirectDescriptors | RingFeatures.EventIndex)]
    [InlineData(0, RingFeatures.EventIndex, 0, RingFeatures.EventIndex)]
    [InlineData(RingBits, 0, RingBits, 0)]
    [InlineData(
        VirtioDriverOptions.TransportFeaturesSpoken, 0, RingFeatures.InOrder | TransportFeatures.NotificationData,
        RingBits | TransportFeatures.RingReset)]
    [InlineData(0x50, 0x01, 0x40, 0x11)]
    public void What_is_wanted_or_required_is_taken_and_what_is_refused_is_not(ulong wanted, ulong required, ulong refused, ulong taken)
    {
        using var rig = new QueueRig(new VirtioDriverOptions { WantedFeatures = wanted, RequiredFeatures = required, RefusedFeatures = refused }, 16);
        rig.Driver.Features.Should().Be(taken | TransportFeatures.Version1);
        rig.Driver.OfferedFeatures.Should().Be(rig.Driver.Common.ReadDeviceFeatures());
        rig.Driver.Common.ReadDriverFeatures().Should().Be(rig.Driver.Features);
    }

    [Fact]
    [Trait("Behaviour", "DRV-3")]
    public void What_is_required_and_not_offered_or_not_spoken_fails_before_anything_is_acknowledged()
    {
        using (var rig = new QueueRig(0x8000, 16))
        {
            rig.Invoking(r => r.Driver).Should().Throw<DriverException>().Which.Step.Should().Be("features");
            rig.Access.Steps.Should().Contain("status 80");
        }

        using var contradiction = new QueueRig(new VirtioDriverOptions { RequiredFeatures = 1, RefusedFeatures = 1 }, 16);
        contradiction.Invoking(r => r.Driver).Should().Throw<ArgumentException>();
        contradiction.Access.Steps.Should().BeEmpty();

        // Bit 37, VIRTIO_F_SR_IOV, is none that the driver has anything to say about.
        using var unspoken = new QueueRig(1UL << 37, 16);
        unspoken.Access.OnRead = (offset, value) => offset == 4 ? 0xffff_ffff : value;
        unspoken.Invoking(r => r.Driver).Should().Throw<DriverException>().Which.Step.Should().Be("features");
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(new int[0])]
    [InlineData(new[] { 2 })]
    [InlineData(new[] { 3, 1 })]
    public void Any_subset_of_the_queues_can_be_set_up(int[] indices)
    {
        using var rig = new QueueRig(0, 16, 16, 16, 16);
        rig.Driver.Start([.. indices.Select(i => new DriverQueueOptions(i))]);
        rig.Driver.Queues.Select(q => q.Index).Should().Equal(indices);
        rig.Driver.Queues.Select(q => q.Vector).Should().OnlyHaveUniqueItems();
        rig.Device.Calls.Where(c => c.StartsWith("start-queue", StringComparison.Ordinal))
            .Should().BeEquivalentTo(indices.Select(i => $"start-queue {i}"));
        rig.Driver.Status.Should().HaveFlag(DeviceStatus.DriverOk);
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(false, 100, 64)]
    [InlineData(false, 64, 64)]
    [InlineData(false, 1, 1)]
    [InlineData(true, 100, 100)]
    [InlineData(true, 1000, 128)]
    public void A_queue_is_as_large_as_asked_for_and_as_the_device_and_the_kind_of_ring_allow(bool packed, int asked, int size)
    {
        using QueueRig rig = new QueueRig(packed ? RingFeatures.Packed : 0, 128).Start(asked);
        rig.Queue.Size.Should().Be(size);
        rig.Driver.Common.QueueSize.Should().Be((ushort)size);
    }

    [Fact]
    [Trait("Behaviour", "DRV-3")]
    public void A_device_that_does_not_take_a_size_is_refused()
    {
        using var rig = new QueueRig(0, 128);
        rig.Access.OnWrite = (offset, value) => offset == 0x18 ? 128 : value;
        rig.Invoking(r => r.Start(64)).Should().Throw<DriverException>().Which.Step.Should().Be("queues");
        rig.Access.Inner.Iovas.Count.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false)]
    [InlineData(true)]
    public void One_queue_is_reset_and_comes_back_with_another_size_while_the_other_runs(bool packed)
    {
        using var rig = new QueueRig(TransportFeatures.RingReset | (packed ? RingFeatures.Packed : 0) | RingFeatures.IndirectDescriptors, 64, 64);
        rig.Driver.Start(2);
        int mapped = rig.Access.Inner.Iovas.Count;
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        DriverQueue other = rig.Driver.Queues[1];
        other.TrySubmit([new(memory.Iova, 8, true)]);
        for (int size = 64; size >= 1; size /= 2)
        {
            DriverQueue old = rig.Driver.Queues.Single(q => q.Index == 0);
            old.TrySubmit([new(memory.Iova, 8, true)]);
            rig.Driver.ResetQueue(old);
            rig.Access.Inner.Iovas.Count.Should().Be(mapped + 1 - 2, "ring and tables of the queue are gone");
            old.Invoking(q => q.Notify()).Should().Throw<InvalidOperationException>();
            old.Invoking(q => q.TryComplete(out _, out _)).Should().Throw<InvalidOperationException>();
            rig.Driver.Queues.Should().Equal(other);

            DriverQueue made = rig.Driver.EnableQueue(new DriverQueueOptions(0) { MaximumSize = size });
            made.Size.Should().Be(size);
            made.Vector.Should().NotBeNull().And.NotBe(other.Vector);
            made.TrySubmit([new(memory.Iova, 8, true)]).Should().NotBeNull();
            rig.Device.Rings[0]!.Size.Should().Be((ushort)size);
            Serve(rig.Device.Rings[0]!);
            made.WaitComplete(out uint length).Should().Be(0);
            length.Should().Be(8);
        }

        Serve(rig.Device.Rings[1]!);
        other.WaitComplete(out _);
        rig.Access.Inner.Iovas.Count.Should().Be(mapped + 1);
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void Memory_of_a_queue_that_does_not_reset_stays_mapped_until_the_device_is_reset()
    {
        using var rig = new QueueRig(
            new VirtioDriverOptions { RequiredFeatures = TransportFeatures.RingReset, Timeout = TimeSpan.FromMilliseconds(30) }, 64);
        rig.Driver.Start(1);
        int mapped = rig.Access.Inner.Iovas.Count;
        rig.Access.OnRead = (offset, value) => offset == 0x3a ? 1 : value;
        rig.Driver.Invoking(d => d.ResetQueue(d.Queues[0])).Should().Throw<DriverException>().Which.Step.Should().Be("queue reset");
        rig.Access.Inner.Iovas.Count.Should().Be(mapped);
        rig.Driver.Dispose();
        rig.Access.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void Without_the_feature_no_queue_is_reset()
    {
        using QueueRig rig = new QueueRig(0, 64).Start();
        rig.Driver.Invoking(d => d.ResetQueue(d.Queues[0])).Should().Throw<InvalidOperationException>();
        rig.Driver.Invoking(d => d.EnableQueue(new DriverQueueOptions(0))).Should().Throw<InvalidOperationException>();
        rig.Driver.Invoking(d => d.Start(1)).Should().Throw<InvalidOperationException>("a device starts once");
    }

    [Fact]
    [Trait("Behaviour", "DRV-5")]
    public void Notification_configuration_data_replaces_the_index()
    {
        // Our device does not offer it: the access does, and keeps it from the device.
        using var rig = new QueueRig(new VirtioDriverOptions { RequiredFeatures = TransportFeatures.NotificationConfigurationData }, 64);
        bool high = false;
        rig.Access.OnRead = (offset, value) => offset switch
        {
            4 => value | (1UL << 7),
            0x38 => 0x1234,
            _ => value,
        };
        rig.Access.OnWrite = (offset, value) =>
        {
            high = offset == 8 ? value == 1 : high;
            return offset == 0x0c && high ? value & ~(1UL << 7) : value;
        };
        rig.Start();
        rig.Access.Writes.Clear();
        rig.Queue.Kick();
        rig.Access.Writes.Should().ContainSingle().Which.Value.Should().Be(0x1234);
    }

    private static void Serve(Virtqueue ring)
    {
        var chain = new DescriptorChain();
        using (ring.Enter())
        {
            ring.TryPop(chain).Should().BeTrue();
            ring.Complete(chain, (uint)chain.WritableLength);
            ring.SignalIfNeeded();
        }
    }
}
