using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 4.1.4.9: the structures through configuration space.</summary>
[Trait("Behaviour", "VTP-15")]
public sealed class ConfigurationWindowTests
{
    [Fact]
    public void The_whole_way_to_DRIVER_OK_works_through_the_window_with_decoding_off()
    {
        using var rig = new TransportRig();
        rig.Driver.WriteConfig(4, 2, 4);
        (ulong descriptors, ulong driver, ulong device) = TestDriver.Areas(0);
        Write(rig, Reg.DeviceStatus, 1, 0);
        Write(rig, Reg.DeviceStatus, 1, 1);
        Write(rig, Reg.DeviceStatus, 1, 3);
        Write(rig, Reg.DriverFeatureSelect, 4, 1);
        Write(rig, Reg.DriverFeature, 4, 1);
        Write(rig, Reg.DeviceStatus, 1, 0xb);
        Read(rig, Reg.DeviceStatus, 1).Should().Be(0xb);
        Write(rig, Reg.QueueSelect, 2, 0);
        Read(rig, Reg.QueueSize, 2).Should().Be(64);
        Write(rig, Reg.QueueDescriptors, 4, (uint)descriptors);
        Write(rig, Reg.QueueDriver, 4, (uint)driver);
        Write(rig, Reg.QueueDevice, 4, (uint)device);
        Write(rig, Reg.QueueEnable, 2, 1);
        Write(rig, Reg.DeviceStatus, 1, 0xf);

        rig.Device.Rings[0].Should().NotBeNull();
        rig.Function.DeviceStatus.Should().Be((DeviceStatus)0xf);
        Write(rig, Reg.DeviceStatus, 1, 0);
        rig.Function.DeviceStatus.Should().Be(DeviceStatus.None);
    }

    [Fact]
    public void Only_bar_offset_length_and_data_are_writable()
    {
        using var rig = new TransportRig();
        int at = rig.Driver.Structures[VirtioPciCapabilityType.PciConfigurationAccess].At;
        uint header = rig.Driver.ReadConfig(at, 4);
        rig.Driver.WriteConfig(at, 4, ~header);
        rig.Driver.ReadConfig(at, 4).Should().Be(header, "id, next pointer, length and type");
        rig.Driver.WriteConfig(at + 4, 4, 0xffff_ff03);
        rig.Driver.ReadConfig(at + 4, 4).Should().Be(3, "id and padding stay");
        rig.Driver.WriteConfig(at + 8, 4, 0x8765_4321);
        rig.Driver.ReadConfig(at + 8, 4).Should().Be(0x8765_4321);
        rig.Driver.WriteConfig(at + 12, 2, 0x1234);
        rig.Driver.WriteConfig(at + 14, 1, 0x56);
        rig.Driver.ReadConfig(at + 12, 4).Should().Be(0x0056_1234);
    }

    [Fact]
    public void The_other_structures_capabilities_are_read_only()
    {
        using var rig = new TransportRig();
        foreach ((VirtioPciCapabilityType type, (int Bar, uint Offset, uint Length, int At) structure) in rig.Driver.Structures)
        {
            if (type == VirtioPciCapabilityType.PciConfigurationAccess)
            {
                continue;
            }

            for (int i = 0; i < 16; i += 4)
            {
                uint before = rig.Driver.ReadConfig(structure.At + i, 4);
                rig.Driver.WriteConfig(structure.At + i, 4, ~before);
                rig.Driver.ReadConfig(structure.At + i, 4).Should().Be(before);
            }
        }
    }

    [Theory]
    [InlineData(0, Reg.NumQueues, 0u)]
    [InlineData(0, Reg.NumQueues, 3u)]
    [InlineData(0, Reg.NumQueues, 8u)]
    [InlineData(0, Reg.NumQueues, 0x80000001u)]
    [InlineData(0, Reg.NumQueues, uint.MaxValue)]
    [InlineData(0, Reg.NumQueues, 4u)] // not aligned
    [InlineData(0, 1, 2u)]
    [InlineData(1, 0, 4u)] // the upper half of BAR 0
    [InlineData(2, 0, 4u)]
    [InlineData(6, 0, 4u)] // the ROM is no BAR of virtio
    [InlineData(255, 0, 4u)]
    [InlineData(0, 0x800, 4u)] // a gap
    [InlineData(0, 0x10000000, 4u)]
    [InlineData(0, -4, 4u)]
    [InlineData(0, 0x1000, 4u)] // one byte is there
    public void What_no_BAR_answers_reads_all_ones_and_writes_nothing(byte bar, int offset, uint length)
    {
        using var rig = new TransportRig();
        rig.Driver.AimWindow(bar, (uint)offset, length);
        rig.Driver.ReadWindow().Should().Be(uint.MaxValue);
        string before = rig.Dump();
        rig.Driver.WriteWindow(1);
        rig.Dump().Should().Be(before);
        rig.Function.CountOf(GuestMistake.WindowRefused).Should().Be(2);
    }

    [Fact]
    public void A_short_access_leaves_the_other_bytes_of_the_data_alone()
    {
        using var rig = new TransportRig();
        rig.Driver.AimWindow(0, Reg.DeviceFeatureSelect, 4);
        rig.Driver.WriteWindow(0xaabbccdd);
        rig.Driver.AimWindow(0, Reg.NumQueues, 2);
        rig.Driver.ReadWindow().Should().Be(0xaabb0002);
        rig.Driver.ReadWindow(1).Should().Be(2);
        rig.Driver.ReadWindow(2).Should().Be(2);
    }

    [Fact]
    public void Reading_the_ISR_through_the_window_clears_it_once()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Driver.AimWindow(0, rig.Driver.Structures[VirtioPciCapabilityType.Isr].Offset, 1);
        rig.Wire.IsAsserted.Should().BeTrue("aiming reads nothing");
        (rig.Driver.ReadWindow() & 0xff).Should().Be(1);
        rig.Wire.IsAsserted.Should().BeFalse();
        (rig.Driver.ReadWindow() & 0xff).Should().Be(0);
    }

    [Fact]
    public void Device_configuration_is_reached_too()
    {
        using var rig = new TransportRig();
        rig.Driver.AimWindow(0, rig.Driver.Structures[VirtioPciCapabilityType.DeviceConfiguration].Offset + 4, 4);
        rig.Driver.ReadWindow().Should().Be(0x08070605);
        rig.Driver.WriteWindow(0x11223344);
        rig.Device.Configuration[4..8].Should().Equal(0x44, 0x33, 0x22, 0x11);
    }

    private static uint Read(TransportRig rig, int offset, int width)
    {
        rig.Driver.AimWindow(0, (uint)offset, (uint)width);
        return rig.Driver.ReadWindow() & (uint.MaxValue >> (32 - (8 * width)));
    }

    private static void Write(TransportRig rig, int offset, int width, uint value)
    {
        rig.Driver.AimWindow(0, (uint)offset, (uint)width);
        rig.Driver.WriteWindow(value);
    }
}
