using System;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Registers of a device as a user-space driver reaches them: by a mapping where the kernel gives one, by calls elsewhere.</summary>
[Trait("Behaviour", "DRV-1")]
public sealed class MappedBarTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private VfioPciDevice? _device;
    private DeviceFunctionAccess? _access;

    public MappedBarTests()
    {
        _fake = _kernel.AddController();
        SetMemorySpace(true);
    }

    public void Dispose()
    {
        _access?.Dispose();
        _device?.Dispose();
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    public void An_access_to_a_mapped_page_is_no_call()
    {
        DeviceFunctionAccess access = Open();
        access.GetMappedLength(0).Should().Be(0x3000);
        foreach (int width in new[] { 1, 2, 4, 8 })
        {
            ulong value = 0x8877_6655_4433_2211 & (ulong.MaxValue >> (64 - (8 * width)));
            access.WriteBar(0, 0x3ff8, width, value);
            access.ReadBar(0, 0x3ff8, width).Should().Be(value);
            _fake.Regions[0].Bytes.Slice(0x3ff8, width).ToArray().Should().Equal(BitConverter.GetBytes(value).Take(width));
        }

        _fake.Accesses.Should().BeEmpty();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-3")]
    [InlineData(0x1ffcul, 4, true)]
    [InlineData(0x2000, 4, false)]
    [InlineData(0x2ffc, 4, false)]
    [InlineData(0x3000, 4, true)]
    [InlineData(0x1ffc, 8, false)]
    [InlineData(0x11, 4, false)]
    public void What_lies_in_no_area_or_across_its_end_is_a_call(ulong offset, int width, bool mapped)
    {
        DeviceFunctionAccess access = Open();
        access.WriteBar(0, offset, width, 0x12);
        access.ReadBar(0, offset, width).Should().Be(0x12);
        _fake.Accesses.Count.Should().Be(mapped ? 0 : 2);
    }

    [Theory]
    [Trait("Behaviour", "VFIO-3")]
    [InlineData(false)]
    [InlineData(true)]
    public void The_pages_of_the_MSI_X_table_are_never_reached_by_the_mapping(bool tableIsMappable)
    {
        AddMsix(bar: 0, table: 0x1ff0, entries: 65);
        (_fake.Regions[0].Areas, _fake.Regions[0].MsixMappable) = (null, tableIsMappable);
        DeviceFunctionAccess access = Open();
        access.GetMappedLength(0).Should().Be(0x2000, "two of four pages have entries of the table");

        foreach (ulong offset in new ulong[] { 0x1000, 0x1ff0, 0x2000, 0x23f0, 0x2ffc })
        {
            access.WriteBar(0, offset, 4, 1);
        }

        _fake.Accesses.Should().HaveCount(5);
        access.WriteBar(0, 0xffc, 4, 1);
        access.WriteBar(0, 0x3000, 4, 1);
        _fake.Accesses.Should().HaveCount(5);
        _kernel.Log.Any(line => line.StartsWith("mmap", StringComparison.Ordinal) && line.EndsWith("0 0x0+0x4000", StringComparison.Ordinal))
            .Should().Be(tableIsMappable, "only then may the host map the table");
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0x4000)]
    [InlineData(0x3ff8)]
    public void A_table_that_does_not_lie_in_its_BAR_leaves_that_to_calls(int table)
    {
        AddMsix(bar: 0, table, entries: 2048);
        Open().GetMappedLength(0).Should().Be(0);
        _kernel.CountOf("mmap").Should().Be(0);
    }

    [Fact]
    public void A_device_that_does_not_decode_is_reached_by_calls_alone()
    {
        AddPowerManagement();
        SetMemorySpace(false);
        DeviceFunctionAccess access = Open();
        IsMapped().Should().BeFalse("Memory Space is 0");
        access.WriteConfiguration(4, 2, 6);
        IsMapped().Should().BeTrue();
        access.WriteConfiguration(0x64, 2, 3);
        IsMapped().Should().BeFalse("it is in D3hot");
        access.WriteConfiguration(0x64, 2, 0);
        IsMapped().Should().BeTrue();
        access.WriteConfiguration(4, 2, 4);
        IsMapped().Should().BeFalse();
        access.WriteConfiguration(4, 1, 2);
        IsMapped().Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-5")]
    public void A_refused_mapping_leaves_calls()
    {
        _kernel.Refuse = line => line.EndsWith("0 0x3000+0x1000", StringComparison.Ordinal) ? Errno.ENOMEM : 0;
        Open().GetMappedLength(0).Should().Be(0);
        IsMapped().Should().BeFalse();
    }

    [Theory]
    [InlineData(3u)]
    [InlineData(5u)]
    [InlineData(6u)]
    public void What_cannot_be_mapped_or_not_both_read_and_written_is_left_to_calls(uint flags)
    {
        _fake.Regions[0].Flags = flags;
        Open().GetMappedLength(0).Should().Be(0);
        _kernel.CountOf("mmap").Should().Be(0);
    }

    [Fact]
    public void After_disposal_nothing_is_reached_by_the_mapping()
    {
        DeviceFunctionAccess access = Open();
        IsMapped().Should().BeTrue();
        access.Dispose();
        IsMapped().Should().BeFalse();
        access.GetMappedLength(0).Should().Be(0);
    }

    [Fact]
    public void An_access_by_mapping_allocates_nothing()
    {
        DeviceFunctionAccess access = Open();
        access.WriteBar(0, 0, 2, 1);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            access.WriteBar(0, 0x3000, 2, access.ReadBar(0, 0, 2));
        }

        GC.GetAllocatedBytesForCurrentThread().Should().Be(before);
    }

    private DeviceFunctionAccess Open()
    {
        _device = _kernel.Attach();
        _access = new DeviceFunctionAccess(_device);
        _fake.Accesses.Clear();
        return _access;
    }

    private bool IsMapped()
    {
        int before = _fake.Accesses.Count;
        _access!.WriteBar(0, 0x10, 4, 5);
        return _fake.Accesses.Count == before;
    }

    private void SetMemorySpace(bool on) => _fake.Configuration.Bytes[4] = on ? (byte)2 : (byte)0;

    private void AddMsix(int bar, int table, int entries)
    {
        Span<byte> space = _fake.Configuration.Bytes;
        (space[6], space[0x34], space[0x40], space[0x41]) = (0x10, 0x40, 0x11, 0);
        MemoryMarshal.Write(space[0x42..], (ushort)(entries - 1));
        MemoryMarshal.Write(space[0x44..], table | bar);
    }

    private void AddPowerManagement()
    {
        Span<byte> space = _fake.Configuration.Bytes;
        (space[6], space[0x34], space[0x60], space[0x61]) = (0x10, 0x60, 1, 0);
    }
}
