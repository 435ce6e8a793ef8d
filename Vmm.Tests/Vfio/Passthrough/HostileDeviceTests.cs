using System;
using System.Linq;
using System.Threading;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Vfio;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Devices whose configuration space lies (VFIO-7).</summary>
public sealed class HostileDeviceTests
{
    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0x40, "*comes to 0x40 twice*")]
    [InlineData(0x50, "*comes to 0x50 twice*")]
    [InlineData(0x51, "*comes to 0x50 twice*")]
    [InlineData(0x3c, "*points to 0x3c*")]
    [InlineData(0x04, "*points to 0x04*")]
    [InlineData(0xff, "*no capability at 0xfc*")]
    public void A_list_that_loops_or_leaves_its_place_ends_before_that(byte next, string remark)
    {
        FakePciDevice device = VfioRig.Card();
        device.Configuration[0xfc] = 0xff;
        device.Configuration[0x51] = next;
        using var rig = new VfioRig(device);
        PassthroughConfigurationTests.Walk(rig).Should().Equal((0x40, 0x01), (0x50, 0x05));
        rig.Function.Layout.Remarks.Should().ContainSingle().Which.Should().Match(remark);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void Without_the_status_bit_there_is_no_list()
    {
        FakePciDevice device = VfioRig.Card();
        device.Configuration[6] = 0;
        using var rig = new VfioRig(device);
        PassthroughConfigurationTests.Walk(rig).Should().BeEmpty();
        rig.Function.Msix.Should().BeNull();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0x3_fff8, 0x0, "*table does not lie inside*")]
    [InlineData(0x2000, 0x4000, "*pending bits do not lie inside*")]
    [InlineData(0x2001, 0x3000, "*table does not lie inside memory BAR 1*")]
    [InlineData(0x2000, 0x3005, "*inside memory BAR 5*")]
    [InlineData(0x2006, 0x3000, "*memory BAR 6*")]
    [InlineData(0x2002, 0x3000, "*memory BAR 2*")]
    [InlineData(0x2000, 0x2008, "*overlap*")]
    [InlineData(0xffff_fff8, 0x3000, "*table does not lie inside*")]
    public void Msix_whose_structures_do_not_lie_in_its_bars_is_hidden(uint table, uint pending, string remark)
    {
        FakePciDevice device = VfioRig.Card().AddBar(2, 1, 0x20);
        FakePciDevice.Msix(4, table, pending).CopyTo(device.Configuration, 0x72);
        using VfioRig rig = new VfioRig(device).Enable();
        PassthroughConfigurationTests.Walk(rig).Should().Equal((0x40, 0x01), (0x50, 0x05), (0x80, 0x10));
        rig.Function.Layout.Remarks.Should().ContainSingle().Which.Should().Match(remark);
        (rig.Read(0x70, 4), rig.Read(0x74, 4)).Should().Be((0, 0), "nothing of it is left to be found");
        rig.Write(0x72, 2, 0x8000);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void Msi_and_msix_of_a_device_without_such_interrupts_are_hidden()
    {
        FakePciDevice device = VfioRig.Card().AddInterrupt(PciInterruptIndex.Msix, 0).AddInterrupt(PciInterruptIndex.Msi, 0);
        using VfioRig rig = new VfioRig(device).Enable();
        PassthroughConfigurationTests.Walk(rig).Should().Equal((0x40, 0x01), (0x80, 0x10));
        rig.Function.Layout.Remarks.Should().HaveCount(2).And.OnlyContain(remark => remark.Contains("no such interrupts"));
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0x01)]
    [InlineData(0x05)]
    [InlineData(0x10)]
    [InlineData(0x11)]
    [InlineData(0x13)]
    public void A_capability_without_room_for_its_registers_is_hidden(byte id)
    {
        foreach (int offset in new[] { 0xfc, 0x60 })
        {
            FakePciDevice device = new FakePciDevice().AddInterrupt(PciInterruptIndex.Msi, 1).AddInterrupt(PciInterruptIndex.Msix, 1)
                .AddBar(0, 0, 0x4000);
            device.SetCapabilities((0x64, 0x03, []), (offset, id, [0, 0]));
            using var rig = new VfioRig(device);
            PassthroughConfigurationTests.Walk(rig).Should().Equal((0x64, 0x03));
            rig.Function.Layout.Remarks.Should().ContainSingle().Which.Should().Contain("hidden");
        }
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void Of_two_capabilities_of_a_kind_the_first_usable_one_is_shown()
    {
        FakePciDevice device = new FakePciDevice().AddInterrupt(PciInterruptIndex.Msi, 2).AddInterrupt(PciInterruptIndex.Msix, 2)
            .AddBar(0, 0, 0x4000);
        device.SetCapabilities(
            (0x40, 0x11, FakePciDevice.Msix(2, 0x8000, 0)),
            (0x50, 0x11, FakePciDevice.Msix(2, 0x1000, 0x2000)),
            (0x60, 0x05, FakePciDevice.Msi(0)),
            (0x70, 0x05, FakePciDevice.Msi(0)),
            (0x80, 0x10, VfioRig.Express(0x0042)),
            (0xc0, 0x10, VfioRig.Express(0x0002)));
        using var rig = new VfioRig(device);
        PassthroughConfigurationTests.Walk(rig).Should().Equal((0x50, 0x11), (0x60, 0x05), (0xc0, 0x10));
        rig.Function.Layout.Remarks.Should().Contain(remark => remark.Contains("type 4"));
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0x100, "*comes to 0x100 twice*")]
    [InlineData(0x040, "*points to 0x040*")]
    [InlineData(0xfff, "*no extended capability at 0xffc*")]
    public void An_extended_list_that_loops_or_leaves_its_place_ends_before_that(uint next, string remark)
    {
        FakePciDevice device = VfioRig.Card();
        device.Set(0x100, 4, 0x0001_0001 | (0x140u << 20));
        device.Set(0x140, 4, 0x0001_0003 | (next << 20));
        device.Set(0xffc, 4, uint.MaxValue);
        using var rig = new VfioRig(device);
        rig.Read(0x100, 4).Should().Be(0x1401_0001);
        rig.Read(0x140, 4).Should().Be(0x0001_0003);
        rig.Function.Layout.Remarks.Should().ContainSingle().Which.Should().Match(remark);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void An_extended_space_that_is_not_there_has_no_list()
    {
        FakePciDevice device = VfioRig.Card();
        device.Configuration.AsSpan(256).Fill(0xff);
        using var rig = new VfioRig(device);
        rig.Function.Layout.ExtendedCapabilities.Should().BeEmpty();
        rig.Function.Layout.Remarks.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    [Trait("Behaviour", "VFIO-13")]
    [Trait("Category", "Long")]
    public void No_guest_access_to_any_of_100_000_random_devices_throws_or_hangs()
    {
        int given = 0;
        int next = -1;
        Exception? failure = null;

        // Threads of their own: on those of the pool, timers of other tests would wait until the last device is done.
        Thread[] threads = [.. Enumerable.Range(0, Environment.ProcessorCount).Select(_ => new Thread(() =>
        {
            try
            {
                for (int seed; failure is null && (seed = Interlocked.Increment(ref next)) < 100_000;)
                {
                    TryDevice(seed, ref given);
                }
            }
            catch (Exception e)
            {
                failure = e;
            }
        }))];
        Array.ForEach(threads, static thread => thread.Start());
        Array.ForEach(threads, static thread => thread.Join());

        failure.Should().BeNull();
        given.Should().BeGreaterThan(50_000);
    }

    private static void TryDevice(int seed, ref int given)
    {
        var random = new Random(seed);
        FakePciDevice device = RandomDevice(random);
        PassthroughFunction function;
        try
        {
            function = PassthroughFunction.Attach(device);
        }
        catch (VfioException)
        {
            return;
        }

        Interlocked.Increment(ref given);
        PciRig? rig = seed % 16 == 0 ? new Vmm.Tests.Pci.PciRig() : null;
        rig?.Add(function);
        for (int i = 0; i < 24; i++)
        {
            int width = 1 << random.Next(3);
            int offset = random.Next(3) == 0 ? random.Next(4096) & -width : (random.Next(256) & -width);
            function.WriteConfiguration(offset, width, (uint)random.NextInt64(1L << 32));
            function.ReadConfiguration(offset, width);
            int bar = random.Next(7);
            ulong at = (ulong)(random.Next(0x4000) & ~7);
            function.WriteBar(bar, at, 4, (ulong)random.Next(4));
            function.ReadBar(bar, at, 8);
        }

        Walk(function);
        function.Faults.Should().Be(0, $"device {seed}");
        if (rig is not null)
        {
            rig.Bridge.Root.Remove(function);
        }

        function.Dispose();
        device.LiveMappings.Should().Be(0);
    }

    private static void Walk(PassthroughFunction function)
    {
        int steps = 0;
        for (uint at = function.ReadConfiguration(0x34, 1); at != 0; at = function.ReadConfiguration((int)at + 1, 1))
        {
            (++steps).Should().BeLessThan(64);
        }

        for (uint at = 0x100; at != 0;)
        {
            (++steps).Should().BeLessThan(1100);
            uint header = function.ReadConfiguration((int)at, 4);
            at = header == uint.MaxValue ? 0 : (header >> 20) & ~3u;
        }
    }

    /// <summary>Random bytes, with headers and pointers that often lead somewhere.</summary>
    private static FakePciDevice RandomDevice(Random random)
    {
        int length = random.Next(4) == 0 ? PciConfigurationSpace.ExpressLength : PciConfigurationSpace.ConventionalLength;
        var device = new FakePciDevice(length);
        random.NextBytes(device.Configuration.AsSpan(0, random.Next(8) == 0 ? length : 256));
        device.Set(0, 4, 0x1234_8086);
        device.Configuration[0xe] = (byte)(random.Next(16) == 0 ? random.Next(256) : random.Next(2) << 7);
        device.Configuration[6] |= (byte)(random.Next(8) == 0 ? 0 : 0x10);
        int at = 0x34;
        byte[] ids = [0x01, 0x05, 0x10, 0x11, 0x13, 0x09, 0x03, 0xff];
        for (int i = random.Next(10); i > 0; i--)
        {
            byte next = (byte)random.Next(0x30, 0x100);
            device.Configuration[at] = next;
            device.Configuration[next & 0xfc] = ids[random.Next(ids.Length)];
            at = (next & 0xfc) + 1;
        }

        for (int offset = 0x100; length > 256 && offset is >= 0x100 and < 0xffc && random.Next(8) != 0;)
        {
            int next = random.Next(6) == 0 ? random.Next(0x1000) : offset + (random.Next(1, 32) * 4);
            device.Set(offset, 4, (uint)(random.Next(0x26) | (1 << 16) | (next << 20)));
            offset = next & 0xffc;
        }

        for (int bar = 0; bar < 7; bar++)
        {
            ulong size = random.Next(3) == 0 ? 0 : random.Next(4) == 0 ? (ulong)random.NextInt64() : 1ul << random.Next(3, 16);
            RegionArea[] areas = [.. Enumerable.Range(0, random.Next(3))
                .Select(_ => new RegionArea((ulong)random.Next(16) << random.Next(8, 13), (ulong)random.Next(8) << random.Next(8, 13)))];
            device.SetRegion((PciRegionIndex)bar, new BackendRegion
            {
                Size = size,
                CanRead = random.Next(8) != 0,
                CanWrite = random.Next(8) != 0,
                MappableAreas = areas,
                TableIsMappable = random.Next(2) == 0,
            });
        }

        for (PciInterruptIndex index = PciInterruptIndex.Pin; index <= PciInterruptIndex.Msix; index++)
        {
            device.AddInterrupt(index, random.Next(6) == 0 ? random.Next(-1, 1) : random.Next(2049), random.Next(2) == 0);
        }

        return device;
    }
}
