using System;
using System.Buffers.Binary;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>A device that writes into its rings what it must not.</summary>
public sealed class DeviceLiesTests
{
    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false, 3u, 8u, "not outstanding")]
    [InlineData(false, 0xffff_ffffu, 8u, "not outstanding")]
    [InlineData(false, 16u, 8u, "not outstanding")]
    [InlineData(false, 0u, 9u, "wrote 9 bytes")]
    [InlineData(false, 0u, 0xffff_ffffu, "wrote 4294967295 bytes")]
    [InlineData(true, 3u, 8u, "not outstanding")]
    [InlineData(true, 0xffffu, 8u, "not outstanding")]
    [InlineData(true, 16u, 8u, "not outstanding")]
    [InlineData(true, 0u, 9u, "wrote 9 bytes")]
    [InlineData(true, 0u, 0xffff_ffffu, "wrote 4294967295 bytes")]
    public void What_was_not_given_or_cannot_be_is_refused(bool packed, uint id, uint length, string complaint)
    {
        using QueueRig rig = new QueueRig(packed ? RingFeatures.Packed : 0, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]).Should().Be(0);
        Use(rig, packed, id, length, 1);
        for (int i = 0; i < 3; i++)
        {
            DriverException refused = rig.Queue.Invoking(q => q.TryComplete(out _, out _)).Should().Throw<DriverException>().Which;
            refused.Step.Should().Be("completion");
            refused.Message.Should().Contain(complaint);
        }

        rig.Queue.FreeDescriptors.Should().Be(15, "nothing was taken back");
    }

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(false)]
    [InlineData(true)]
    public void A_request_is_not_returned_twice(bool packed)
    {
        using QueueRig rig = new QueueRig(packed ? RingFeatures.Packed : 0, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        Use(rig, packed, 1, 8, 1);
        rig.Queue.TryComplete(out int token, out _).Should().BeTrue();
        token.Should().Be(1);
        Use(rig, packed, 1, 8, 2);
        rig.Queue.Invoking(q => q.TryComplete(out _, out _)).Should().Throw<DriverException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_packed_length_without_WRITE_means_nothing()
    {
        using QueueRig rig = new QueueRig(RingFeatures.Packed, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        Span<byte> descriptor = rig.DescriptorArea[..16];
        BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], 0xdead_beef);
        BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], 0x8080);
        rig.Queue.TryComplete(out _, out uint length).Should().BeTrue();
        length.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_batch_in_order_that_ends_beyond_the_used_index_is_refused()
    {
        using QueueRig rig = new QueueRig(RingFeatures.InOrder, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        for (int i = 0; i < 3; i++)
        {
            rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        }

        Use(rig, packed: false, id: 2, length: 8, index: 1);
        rig.Queue.TryComplete(out _, out _).Should().BeTrue();
        rig.Queue.Invoking(q => q.TryComplete(out _, out _)).Should().Throw<DriverException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_used_index_that_runs_ahead_ends_in_a_refusal_and_not_in_a_loop()
    {
        using QueueRig rig = new QueueRig(0, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        Use(rig, packed: false, id: 0, length: 8, index: 0x8000);
        rig.Queue.TryComplete(out _, out _).Should().BeTrue();
        rig.Queue.Invoking(q => q.TryComplete(out _, out _)).Should().Throw<DriverException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_device_that_answers_nothing_is_given_up()
    {
        using QueueRig rig = new QueueRig(new VirtioDriverOptions { Timeout = TimeSpan.FromMilliseconds(30) }, 16).Start();
        IDmaBuffer memory = rig.Driver.MapBuffer(8);
        rig.Queue.TrySubmit([new(memory.Iova, 8, true)]);
        rig.Queue.Notify();
        rig.Queue.Invoking(q => q.WaitComplete(out _)).Should().Throw<DriverException>().Which.Step.Should().Be("completion");
        rig.Queue.TryWaitComplete(TimeSpan.Zero, out _, out _).Should().BeFalse();
    }

    /// <summary>Writes the first used element, whatever it is to say.</summary>
    private static void Use(QueueRig rig, bool packed, uint id, uint length, ushort index)
    {
        if (packed)
        {
            Span<byte> descriptor = rig.DescriptorArea.Slice((index - 1) * 16, 16);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], length);
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)id);
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], 0x8082);
        }
        else
        {
            Span<byte> element = rig.DeviceArea.Slice(4 + ((index - 1) % 16 * 8), 8);
            BinaryPrimitives.WriteUInt32LittleEndian(element, id);
            BinaryPrimitives.WriteUInt32LittleEndian(element[4..], length);
            if (index > 16)
            {
                BinaryPrimitives.WriteUInt32LittleEndian(rig.DeviceArea[4..], id);
                BinaryPrimitives.WriteUInt32LittleEndian(rig.DeviceArea[8..], length);
            }

            BinaryPrimitives.WriteUInt16LittleEndian(rig.DeviceArea[2..], index);
        }
    }
}
