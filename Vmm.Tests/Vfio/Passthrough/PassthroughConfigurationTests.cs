using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Vfio;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Which bits of configuration space are emulated and which are the device's.</summary>
public sealed class PassthroughConfigurationTests
{
    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void The_command_register_shows_the_guests_bits_and_the_device_decodes_always()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        device.Get(4, 2).Should().Be(2, "its BARs decode, and it masters nothing");
        rig.Read(4, 2).Should().Be(0);
        rig.Write(4, 2, 0x406);
        rig.Read(4, 2).Should().Be(0x406);
        device.Get(4, 2).Should().Be(0x406);
        rig.Write(4, 1, 0);
        rig.Read(4, 2).Should().Be(0x400);
        device.Get(4, 2).Should().Be(0x402);
        rig.Write(5, 1, 0);
        device.Get(4, 2).Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void A_write_over_emulated_and_other_bytes_reaches_the_device_in_its_own_bytes_only()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        device.Calls.Clear();
        rig.Write(4, 4, 0xf900_0000);
        rig.Write(0xc, 4, 0x1122_3344);
        rig.Write(0x3c, 4, 0x1122_33ff);
        rig.Write(0x10, 4, 0xffff_ffff);
        rig.Write(0x28, 4, 0x0102_0304);
        rig.Write(0xf0, 1, 0x77);
        device.Calls.Should().Equal(
            "write 7 6 2 f900", "write 7 c 2 3344", "write 7 f 1 11", "write 7 3e 2 1122", "write 7 28 4 1020304", "write 7 f0 1 77");
        rig.Read(0x3c, 2).Should().Be(0x01ff, "the line is the guest's, the pin is ours");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Reads_of_1_2_and_4_bytes_agree_also_where_emulated_and_other_bits_meet()
    {
        FakePciDevice device = VfioRig.Card();
        new Random(1).NextBytes(device.Configuration.AsSpan(0xd0, 0x30));
        device.Set(6, 2, 0x0290);
        using var rig = new VfioRig(device);
        for (int offset = 0; offset < 0x100; offset += 4)
        {
            uint whole = rig.Read(offset, 4);
            (rig.Read(offset, 2) | (rig.Read(offset + 2, 2) << 16)).Should().Be(whole, $"at 0x{offset:x}");
            uint bytes = 0;
            for (int i = 0; i < 4; i++)
            {
                bytes |= rig.Read(offset + i, 1) << (8 * i);
            }

            bytes.Should().Be(whole, $"at 0x{offset:x}");
        }

        rig.Read(6, 2).Should().Be(0x0290);
        rig.Read(0xd4, 4).Should().Be(device.Get(0xd4, 4));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Msi_and_msix_are_ours_and_no_write_of_them_reaches_the_device()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Clear();
        for (int offset = 0x50; offset < 0x68; offset += 4)
        {
            rig.Write(offset, 4, 0xfffe_ffff);
        }

        rig.Write(0x70, 4, 0x7fff_ffff);
        rig.Read(0x70, 4).Should().Be(0x4003_8011);
        rig.Read(0x74, 4).Should().Be(0x2000);
        rig.Read(0x78, 4).Should().Be(0x3000);
        device.Calls.Should().NotContain(call => call.StartsWith("write 7 5") || call.StartsWith("write 7 6") || call.StartsWith("write 7 7"));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void The_lists_are_walked_in_the_devices_order_at_the_devices_offsets()
    {
        using var rig = new VfioRig(VfioRig.Card());
        Walk(rig).Should().Equal((0x40, 0x01), (0x50, 0x05), (0x70, 0x11), (0x80, 0x10));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Power_states_are_emulated_and_d3_unmaps_the_bars_while_the_device_stays_awake()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Read(0x42, 2).Should().Be(3, "no PME, no D1 and D2");
        device.Calls.Clear();
        rig.Write(0x44, 2, 3);
        rig.Function.GetMappedAddress(0).Should().BeNull();
        device.Get(4, 2).Should().Be(2, "it masters nothing in D3hot");
        rig.Write(0x44, 2, 0);
        rig.Function.GetMappedAddress(0).Should().Be(VfioRig.Bar0);
        device.Get(4, 2).Should().Be(6);
        device.Calls.Should().NotContain(call => call.StartsWith("write 7 44")).And.NotContain("reset", "the device says No_Soft_Reset");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void On_a_root_bus_an_express_endpoint_is_integrated_and_has_no_link()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Read(0x82, 2).Should().Be(0x0092);
        rig.Read(0x84, 4).Should().Be(0x1000_8fc0);
        (rig.Read(0x8c, 4), rig.Read(0x90, 4), rig.Read(0xac, 4)).Should().Be((0, 0, 0));
        device.Calls.Clear();
        rig.Write(0x90, 2, 0x40);
        device.Calls.Should().BeEmpty("there is no link to control");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Behind_a_port_the_link_is_the_devices_or_the_slowest_for_one_that_has_none()
    {
        var bridge = new BridgeRig();
        PciRootPort port = bridge.AddPort();
        var endpoint = PassthroughFunction.Attach(VfioRig.Card());
        port.Secondary.Add(endpoint, 0);
        endpoint.ReadConfiguration(0x82, 2).Should().Be(0x0002);
        endpoint.ReadConfiguration(0x8c, 4).Should().Be(0x0040_0c42);
        endpoint.ReadConfiguration(0x92, 2).Should().Be(0x1042);
        port.Secondary.Remove(endpoint);

        // The same function elsewhere is seen as it is there.
        bridge.Rig.Bridge.Root.Add(endpoint, 9);
        endpoint.ReadConfiguration(0x82, 2).Should().Be(0x0092);
        bridge.Rig.Bridge.Root.Remove(endpoint);
        endpoint.Dispose();

        FakePciDevice integrated = VfioRig.Card();
        integrated.Set(0x82, 2, 0x0092);
        integrated.Set(0x8c, 4, 0);
        integrated.Set(0x92, 2, 0);
        using var function = PassthroughFunction.Attach(integrated);
        port.Secondary.Add(function, 0);
        function.ReadConfiguration(0x82, 2).Should().Be(0x0002);
        function.ReadConfiguration(0x8c, 4).Should().Be(0x11);
        function.ReadConfiguration(0x92, 2).Should().Be(0x11);
        port.Secondary.Remove(function);
    }

    [Theory]
    [Trait("Behaviour", "VFIO-6")]
    [InlineData("0010 0001", "0001")]
    [InlineData("0001 0010 000e 0003", "0001 0003")]
    [InlineData("000e 0010 0015 0003 0001", "0000 0003 0001")]
    [InlineData("0010 000e 0024", "")]
    [InlineData("0001 0003 0015", "0001 0003")]
    public void Sriov_ari_and_resizable_bars_are_taken_out_of_the_extended_list(string ids, string expected)
    {
        FakePciDevice device = VfioRig.Card();
        int[] list = ids.Split(' ').Select(id => Convert.ToInt32(id, 16)).ToArray();
        for (int i = 0; i < list.Length; i++)
        {
            int next = i + 1 < list.Length ? 0x140 + (i * 0x40) : 0;
            int at = 0x100 + (i * 0x40);
            device.Set(at, 4, (uint)(list[i] | (1 << 16) | (next << 20)));
            for (int offset = 4; offset < 0x40; offset += 4)
            {
                device.Set(at + offset, 4, 0xa5a5_a5a5);
            }
        }

        using var rig = new VfioRig(device);
        if (ids.StartsWith("0010", StringComparison.Ordinal) && expected.Length != 0)
        {
            expected = "0000 " + expected;
        }

        WalkExtended(rig).Select(entry => entry.Id.ToString("x4")).Should().Equal(expected.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        for (int i = 0; i < list.Length; i++)
        {
            int at = 0x100 + (i * 0x40);
            bool hidden = list[i] is 0x10 or 0xe or 0x15 or 0x24;
            rig.Read(at + 4, 4).Should().Be(hidden ? 0 : 0xa5a5_a5a5);
            device.Calls.Clear();
            rig.Write(at + 4, 4, 1);
            device.Calls.Should().HaveCount(hidden ? 0 : 1);
        }
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void The_clique_is_added_at_the_end_where_there_is_room()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device, new PassthroughFunctionOptions { GpuDirectClique = 5 });
        Walk(rig).Should().Equal((0x40, 0x01), (0x50, 0x05), (0x70, 0x11), (0x80, 0x10), (0xc8, 0x09));
        (rig.Read(0xc8, 4), rig.Read(0xcc, 4)).Should().Be((0x5008_0009, 0x0028_5032));
        device.Calls.Clear();
        rig.Write(0xcc, 4, 0);
        rig.Read(0xcc, 4).Should().Be(0x0028_5032);
        device.Calls.Should().BeEmpty();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-6")]
    [InlineData(0xc8, 0xd4)]
    [InlineData(0xd4, 0xc8)]
    public void The_clique_takes_no_bytes_of_another_capability(int taken, int expected)
    {
        FakePciDevice device = VfioRig.Card();
        device.Set(taken, 4, 0x0000_0003);
        device.Configuration[0x81] = (byte)taken;
        using var rig = new VfioRig(device, new PassthroughFunctionOptions { GpuDirectClique = 0 });
        Walk(rig)[^1].Should().Be((expected, 0x09));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void A_clique_without_room_or_without_a_list_is_refused_with_the_reason()
    {
        FakePciDevice full = VfioRig.Card();
        full.Set(0xcc, 4, 1);
        full.Set(0xd4, 4, 1);
        var options = new PassthroughFunctionOptions { GpuDirectClique = 1 };
        FluentActions.Invoking(() => PassthroughFunction.Attach(full, options))
            .Should().Throw<VfioException>().WithMessage("*x_nv_gpudirect_clique*no room*");
        FluentActions.Invoking(() => PassthroughFunction.Attach(new FakePciDevice(), options)).Should().Throw<VfioException>().WithMessage("*empty*");
        FluentActions.Invoking(() => PassthroughFunction.Attach(full, options with { GpuDirectClique = 16 })).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void The_multi_function_bit_is_the_guests_bus_and_not_the_devices()
    {
        var device = new FakePciDevice();
        device.Set(0xe, 1, 0x80);
        using var rig = new VfioRig(device);
        rig.Read(0xe, 1).Should().Be(0);
        PciFunction second = PciRig.Function();
        rig.Rig.Add(second, number: 1);
        rig.Read(0xe, 1).Should().Be(0x80);
        rig.Rig.Bridge.Root.Remove(second);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void A_conventional_device_has_256_bytes_and_no_extended_list()
    {
        using var rig = new VfioRig(new FakePciDevice(256));
        rig.Read(0x100, 4).Should().Be(uint.MaxValue);
        rig.Write(0x100, 4, 0);
        rig.Device.Calls.Should().NotContain(call => call.StartsWith("write 7 1"));
    }

    internal static List<(int Offset, int Id)> Walk(VfioRig rig)
    {
        var list = new List<(int, int)>();
        for (int at = (int)rig.Read(0x34, 1); at != 0 && list.Count < 64; at = (int)rig.Read(at + 1, 1))
        {
            list.Add((at, (int)rig.Read(at, 1)));
        }

        return list;
    }

    private static List<(int Offset, int Id)> WalkExtended(VfioRig rig)
    {
        var list = new List<(int, int)>();
        for (int at = 0x100; at != 0 && list.Count < 1024;)
        {
            uint header = rig.Read(at, 4);
            if (header == 0)
            {
                break;
            }

            list.Add((at, (int)(header & 0xffff)));
            at = (int)(header >> 20);
        }

        return list;
    }
}
