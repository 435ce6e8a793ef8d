using System.Linq;
using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 4.1.3.1 and 4.1.4.3: the registers as registers.</summary>
public sealed class CommonConfigurationTests
{
    [Fact]
    [Trait("Behaviour", "VTP-2")]
    public void Read_write_fields_read_back()
    {
        using var rig = new TransportRig();
        TestDriver driver = rig.Driver;
        driver.Set(Reg.DeviceFeatureSelect, 4, 0x12345678);
        driver.Get(Reg.DeviceFeatureSelect, 4).Should().Be(0x12345678);
        driver.Set(Reg.DriverFeatureSelect, 4, 1);
        driver.Get(Reg.DriverFeatureSelect, 4).Should().Be(1);
        driver.Set(Reg.DriverFeature, 4, 1);
        driver.Get(Reg.DriverFeature, 4).Should().Be(1);
        driver.Set(Reg.ConfigMsixVector, 2, 2);
        driver.Get(Reg.ConfigMsixVector, 2).Should().Be(2);
        driver.Set(Reg.QueueSelect, 2, 1);
        driver.Get(Reg.QueueSelect, 2).Should().Be(1);
        driver.Set(Reg.QueueSize, 2, 32);
        driver.Get(Reg.QueueSize, 2).Should().Be(32);
        driver.Set(Reg.QueueMsixVector, 2, 0);
        driver.Get(Reg.QueueMsixVector, 2).Should().Be(0);
        driver.Set(Reg.QueueEnable, 2, 1);
        driver.Get(Reg.QueueEnable, 2).Should().Be(1);
        driver.Set(Reg.QueueSelect, 2, 0);
        driver.Get(Reg.QueueSize, 2).Should().Be(64, "each queue has registers of its own");
        driver.Get(Reg.QueueEnable, 2).Should().Be(0);
    }

    [Theory]
    [InlineData(Reg.QueueDescriptors)]
    [InlineData(Reg.QueueDriver)]
    [InlineData(Reg.QueueDevice)]
    [Trait("Behaviour", "VTP-2")]
    public void Addresses_are_accessed_whole_or_by_halves_in_either_order(int offset)
    {
        using var rig = new TransportRig();
        TestDriver driver = rig.Driver;
        driver.Set(offset, 8, 0x1122334455667788);
        driver.Get(offset, 4).Should().Be(0x55667788);
        driver.Get(offset + 4, 4).Should().Be(0x11223344);
        driver.Set(offset + 4, 4, 0xaabbccdd);
        driver.Get(offset, 8).Should().Be(0xaabbccdd55667788);
        driver.Set(offset, 4, 0x01020304);
        driver.Get(offset, 8).Should().Be(0xaabbccdd01020304);
    }

    [Fact]
    [Trait("Behaviour", "VTP-2")]
    public void Every_other_width_or_offset_reads_all_ones_and_writes_nothing()
    {
        using var rig = new TransportRig();
        var valid = CommonConfigurationRegisters.Map
            .SelectMany(r => r.Width == 8 ? new[] { (r.Offset, 8), (r.Offset, 4), (r.Offset + 4, 4) } : [(r.Offset, r.Width)]).ToHashSet();
        rig.Driver.SetUpQueue(0, enable: false);
        string before = rig.Dump();
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            for (int offset = 0; offset < Reg.Length; offset += width)
            {
                if (!valid.Contains((offset, width)))
                {
                    rig.Driver.Get(offset, width).Should().Be(ulong.MaxValue >> (64 - (8 * width)), "{0} bytes at 0x{1:x}", width, offset);
                    rig.Driver.Set(offset, width, 0x0101010101010101);
                }
            }
        }

        rig.Dump().Should().Be(before);
    }

    [Fact]
    [Trait("Behaviour", "VTP-2")]
    public void Read_only_fields_ignore_writes()
    {
        using var rig = new TransportRig();
        string before = rig.Dump();
        foreach (RegisterInfo register in CommonConfigurationRegisters.Map.Where(
            r => r.Access is RegisterAccess.ReadOnly or RegisterAccess.ReadSideEffect))
        {
            rig.Driver.Set(register.Offset, register.Width, 0x5a5a5a5a);
        }

        rig.Dump().Should().Be(before);
        rig.Driver.Get(Reg.NumQueues, 2).Should().Be(2);
        rig.Driver.Get(Reg.QueueNotifyData, 2).Should().Be(0, "VIRTIO_F_NOTIF_CONFIG_DATA is not offered");
    }

    [Theory]
    [InlineData(2u)]
    [InlineData(3u)]
    [InlineData(0x8000_0000u)]
    [InlineData(0x0800_0000u)]
    [InlineData(uint.MaxValue)]
    [Trait("Behaviour", "VTP-3")]
    public void Feature_banks_above_the_second_read_zero_and_ignore_writes(uint select)
    {
        using var rig = new TransportRig();
        rig.Driver.Acknowledge(TestDriver.Version1);
        rig.Driver.Set(Reg.DeviceFeatureSelect, 4, select);
        rig.Driver.Get(Reg.DeviceFeature, 4).Should().Be(0);
        rig.Driver.Set(Reg.DriverFeatureSelect, 4, select);
        rig.Driver.Set(Reg.DriverFeature, 4, uint.MaxValue);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be(0);
        rig.Driver.Set(Reg.DriverFeatureSelect, 4, 0);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be(0);
        rig.Driver.Set(Reg.DriverFeatureSelect, 4, 1);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be(1);
        rig.Driver.Status = 1;
        rig.Driver.Status = 3;
        rig.Driver.Status = 0xb;
        rig.Driver.Status.Should().Be(0xb, "bits that no device has cannot spoil a negotiation");
    }

    [Fact]
    [Trait("Behaviour", "VTP-3")]
    public void Acknowledged_features_read_back_masked_by_what_is_offered()
    {
        using var rig = new TransportRig();
        rig.Driver.Set(Reg.DriverFeature, 4, 0xffffffff);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be((uint)rig.Driver.OfferedFeatures());
        rig.Driver.Set(Reg.DriverFeatureSelect, 4, 1);
        rig.Driver.Set(Reg.DriverFeature, 4, 0xffffffff);
        rig.Driver.Get(Reg.DriverFeature, 4).Should().Be(rig.Driver.OfferedFeatures() >> 32);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    [Trait("Behaviour", "VTP-8")]
    public void A_queue_out_of_range_reads_as_absent_and_ignores_writes(int select)
    {
        using var rig = new TransportRig();
        rig.Driver.Set(Reg.QueueSelect, 2, (uint)select);
        foreach ((int offset, int width) in new[]
        {
            (Reg.QueueSize, 2), (Reg.QueueMsixVector, 2), (Reg.QueueEnable, 2), (Reg.QueueDescriptors, 8), (Reg.QueueDriver, 4),
            (Reg.QueueDevice + 4, 4), (Reg.QueueReset, 2),
        })
        {
            rig.Driver.Set(offset, width, 1);
        }

        rig.Driver.Get(Reg.QueueSelect, 2).Should().Be((uint)select);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueMsixVector, 2).Should().Be(0xffff);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueNotifyOff, 2).Should().Be(0);
        rig.Driver.Get(Reg.QueueDescriptors, 8).Should().Be(0);
        rig.Driver.Get(Reg.QueueReset, 2).Should().Be(0);
        rig.Function.CountOf(GuestMistake.NoSuchQueue).Should().Be(7);
    }

    [Theory]
    [InlineData(false, 32)]
    [InlineData(true, 48)]
    [Trait("Behaviour", "VTP-8")]
    public void A_queue_size_need_not_be_a_power_of_two_once_packed_rings_are_chosen(bool chosen, int expected)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { PackedRing = true });
        rig.Driver.Negotiate(TestDriver.Version1 | (chosen ? RingFeatures.Packed : 0)).Should().BeTrue();
        rig.Driver.Set(Reg.QueueSize, 2, 32);
        rig.Driver.Set(Reg.QueueSize, 2, 48);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be((uint)expected);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(48)]
    [InlineData(65)]
    [InlineData(128)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    [Trait("Behaviour", "VTP-8")]
    public void A_queue_size_that_cannot_be_is_refused(int size)
    {
        using var rig = new TransportRig();
        rig.Driver.Set(Reg.QueueSize, 2, 32);
        rig.Driver.Set(Reg.QueueSize, 2, (uint)size);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(32);
        rig.Function.CountOf(GuestMistake.QueueSizeRefused).Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VTP-8")]
    public void Queue_registers_are_frozen_while_the_queue_is_enabled_and_zero_does_not_disable()
    {
        using var rig = new TransportRig();
        rig.Driver.SetUpQueue(0);
        (ulong descriptors, ulong driver, ulong device) = TestDriver.Areas(0);
        rig.Driver.Set(Reg.QueueSize, 2, 8);
        rig.Driver.Set(Reg.QueueDescriptors, 8, 1);
        rig.Driver.Set(Reg.QueueDriver, 4, 1);
        rig.Driver.Set(Reg.QueueDevice + 4, 4, 1);
        rig.Function.CountOf(GuestMistake.QueueFrozen).Should().Be(4);
        rig.Driver.Set(Reg.QueueEnable, 2, 0);
        rig.Driver.Set(Reg.QueueEnable, 2, 2);
        rig.Function.CountOf(GuestMistake.QueueDisableIgnored).Should().Be(2);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(16);
        rig.Driver.Get(Reg.QueueDescriptors, 8).Should().Be(descriptors);
        rig.Driver.Get(Reg.QueueDriver, 8).Should().Be(driver);
        rig.Driver.Get(Reg.QueueDevice, 8).Should().Be(device);
        rig.Driver.Get(Reg.QueueEnable, 2).Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VTP-8")]
    [Trait("Behaviour", "VTP-11")]
    public void The_largest_size_the_last_vector_and_NO_VECTOR_are_no_mistakes()
    {
        using var rig = new TransportRig();
        rig.Driver.Set(Reg.QueueSize, 2, 1);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(1);
        rig.Driver.Set(Reg.QueueSize, 2, 64);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(64);
        foreach (int register in new[] { Reg.ConfigMsixVector, Reg.QueueMsixVector })
        {
            rig.Driver.Set(register, 2, 2);
            rig.Driver.Get(register, 2).Should().Be(2);
            rig.Driver.Set(register, 2, VirtioPciIds.NoVector);
            rig.Driver.Get(register, 2).Should().Be(VirtioPciIds.NoVector);
        }

        foreach (GuestMistake mistake in System.Enum.GetValues<GuestMistake>())
        {
            rig.Function.CountOf(mistake).Should().Be(0, mistake.ToString());
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(65)]
    [InlineData(0x8000)]
    [Trait("Behaviour", "VTP-8")]
    public void A_size_that_no_packed_ring_of_the_queue_can_have_is_refused(int size)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { PackedRing = true });
        rig.Driver.Negotiate(TestDriver.Version1 | RingFeatures.Packed).Should().BeTrue();
        rig.Driver.Set(Reg.QueueSize, 2, 63);
        rig.Driver.Set(Reg.QueueSize, 2, (uint)size);
        rig.Driver.Get(Reg.QueueSize, 2).Should().Be(63);
        rig.Function.CountOf(GuestMistake.QueueSizeRefused).Should().Be(1);
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0x7ff)]
    [InlineData(0xfffe)]
    [Trait("Behaviour", "VTP-11")]
    public void A_vector_outside_the_table_is_stored_as_none(int vector)
    {
        using var rig = new TransportRig();
        rig.Driver.Set(Reg.ConfigMsixVector, 2, 1);
        rig.Driver.Set(Reg.ConfigMsixVector, 2, (uint)vector);
        rig.Driver.Get(Reg.ConfigMsixVector, 2).Should().Be(VirtioPciIds.NoVector);
        rig.Driver.Set(Reg.QueueMsixVector, 2, 1);
        rig.Driver.Set(Reg.QueueMsixVector, 2, (uint)vector);
        rig.Driver.Get(Reg.QueueMsixVector, 2).Should().Be(VirtioPciIds.NoVector);
        rig.Function.CountOf(GuestMistake.VectorRefused).Should().Be(2);
    }
}
