using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Pci.Bars;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The configuration of each type of device as the registers of its specification, reached as 4.1.3.1 allows, and by name.</summary>
public sealed class DeviceRegistersTests
{
    // Name, offset and width of the fields of virtio 1.2, 5.2.4, 5.1.4, 5.3.4 and 5.5.4 that the devices have.
    private static readonly Dictionary<string, (string Name, int Offset, int Width)[]> Fields = new()
    {
        ["block"] =
        [
            ("capacity", 0x00, 8), ("seg_max", 0x0c, 4), ("blk_size", 0x14, 4), ("physical_block_exp", 0x18, 1), ("min_io_size", 0x1a, 2),
            ("writeback", 0x20, 1), ("num_queues", 0x22, 2), ("max_discard_sectors", 0x24, 4), ("max_discard_seg", 0x28, 4),
            ("discard_sector_alignment", 0x2c, 4), ("max_write_zeroes_sectors", 0x30, 4), ("max_write_zeroes_seg", 0x34, 4),
            ("write_zeroes_may_unmap", 0x38, 1),
        ],
        ["net"] = [("mac[0]", 0, 1), ("mac[5]", 5, 1), ("status", 6, 2), ("max_virtqueue_pairs", 8, 2), ("mtu", 10, 2)],
        ["console"] = [("cols", 0, 2), ("rows", 2, 2), ("max_nr_ports", 4, 4), ("emerg_wr", 8, 4)],
        ["balloon"] = [("num_pages", 0, 4), ("actual", 4, 4)],
    };

    [Theory]
    [InlineData("block")]
    [InlineData("net")]
    [InlineData("console")]
    [InlineData("balloon")]
    [Trait("Behaviour", "VTP-2")]
    public void Accesses_of_every_width_agree_with_those_of_bytes(string kind)
    {
        using VirtioDevice device = Create(kind);
        byte[] bytes = [.. Enumerable.Range(0, device.ConfigurationLength).Select(i => (byte)device.ReadConfiguration(i, 1))];
        bytes.Should().Contain(static value => value != 0);
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            for (int offset = 0; offset + width <= bytes.Length; offset += width)
            {
                ulong expected = bytes.Skip(offset).Take(width).Reverse().Aggregate(0UL, static (value, next) => (value << 8) | next);
                device.ReadConfiguration(offset, width).Should().Be(expected, "{0} bytes at 0x{1:x}", width, offset);
            }
        }
    }

    [Theory]
    [InlineData("block")]
    [InlineData("net")]
    [InlineData("console")]
    public void A_driver_changes_nothing_of_what_is_not_its_own(string kind)
    {
        using VirtioDevice device = Create(kind);
        ulong[] before = All(device);
        for (int offset = 0; offset < device.ConfigurationLength; offset++)
        {
            device.WriteConfiguration(offset, 1, 0xa5);
        }

        All(device).Should().Equal(before);
    }

    [Fact]
    public void The_address_of_a_card_lies_in_the_order_in_which_it_is_sent()
    {
        using VirtioDevice device = Create("net");
        Enumerable.Range(0, 6).Select(i => device.ReadConfiguration(i, 1)).Should().Equal(0x52, 0x54, 0x00, 0x12, 0x34, 0x56);
        device.ReadConfiguration(0, 8).Should().Be(0x0001_5634_1200_5452);
    }

    [Theory]
    [InlineData("block")]
    [InlineData("net")]
    [InlineData("console")]
    [InlineData("balloon")]
    [Trait("Behaviour", "CON-6")]
    public void Traces_and_inspection_have_the_names_of_the_specification(string kind)
    {
        using var rig = new TransportRig();
        VirtioDevice device = Create(kind);
        VirtioPciFunction function = rig.AddFunction(device, slot: 2);
        PciBarRegion region = function.Bars.SelectMany(static bar => bar.Regions).Single(static region => region.Name == "device");
        IRegionNames names = region.Handler.Should().BeAssignableTo<IRegionNames>().Subject;
        var node = new InspectionNode("device");
        device.Inspect(node);
        foreach ((string name, int offset, int width) in Fields[kind])
        {
            names.Describe((ulong)offset, names.SelectedAt((ulong)offset)).Should().Be($"{kind}.{name}");
            if (width > 1)
            {
                names.Describe((ulong)offset + 1, -1).Should().Be($"{kind}.{name}+1");
            }

            node.Values.Should().Contain(value => value.Name == name);
        }
    }

    private static ulong[] All(VirtioDevice device)
    {
        return [.. Enumerable.Range(0, device.ConfigurationLength).Select(offset => device.ReadConfiguration(offset, 1))];
    }

    private static VirtioDevice Create(string kind)
    {
        MacAddress.TryParse("52:54:00:12:34:56", out MacAddress mac).Should().BeTrue();
        return kind switch
        {
            "block" => new BlockDevice(new HeldBlockBackend(), new BlockDeviceOptions { QueueCount = 3 }),
            "net" => new NetDevice(new FakeNetBackend(), new NetDeviceOptions { Mac = mac, Mtu = 9000 }),
            "console" => new ConsoleDevice(new DescriptorConsoleBackend(-1, -1), new ConsoleDeviceOptions { Columns = 80, Rows = 25 }),
            _ => new BalloonDevice(new BalloonDeviceOptions { Size = 0x0102_0304UL * 4096 }, new GuestMemory()),
        };
    }
}
