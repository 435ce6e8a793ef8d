using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Bars;

namespace Vmm.Tests.DeviceModel.Memory;

[Trait("Behaviour", "MEM-6")]
public sealed unsafe class HostMemoryTests
{
    private static readonly ulong Page = (ulong)Environment.SystemPageSize;

    [Fact]
    public void Anonymous_memory_is_zeroed_and_writable()
    {
        using var memory = HostMemory.AllocateAnonymous(1);
        memory.Length.Should().Be(Page);
        memory.Descriptor.Should().Be(-1);
        memory.Pointer[Page - 1].Should().Be(0);
        memory.Pointer[Page - 1] = 1;
        memory.Pointer[Page - 1].Should().Be(1);
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(false, true)]
    [InlineData(true, false)]
    [InlineData(true, true)]
    public void Large_memory_is_aligned_to_huge_pages_and_asks_for_them_if_told(bool shared, bool ask)
    {
        using HostMemory memory = shared
            ? HostMemory.AllocateShared("vmm-test", (4 << 20) + 1, hugePages: ask)
            : HostMemory.AllocateAnonymous((4 << 20) + 1, hugePages: ask);
        memory.Length.Should().Be((4 << 20) + Page);
        ((ulong)memory.Pointer % (2 << 20)).Should().Be(0);
        memory.Pointer[memory.Length - 1] = 1;
        memory.Pointer[memory.Length - 1].Should().Be(1);
        MappingFlags.Of(memory.Pointer).Contains("hg").Should().Be(ask, "VmFlags say hg where MADV_HUGEPAGE was given");
    }

    [Theory]
    [InlineData(0u, 4u << 20, 2u << 20)]
    [InlineData(0x3000u, 4u << 20, 2u << 20)]
    [InlineData(0x20_5000u, 2u << 20, 2u << 20)]
    [InlineData(0x20_5000u, 1u << 30, 1u << 30)]
    [InlineData(0x3000u, 0x3000u, 0x1000u)]
    public void A_large_part_of_a_descriptor_is_mapped_where_its_huge_pages_fall_together_with_the_hosts(uint offset, uint length, uint alignment)
    {
        using var memory = HostMemory.AllocateShared("vmm-test", 2UL << 30);
        List<HostMemory> parts = [];
        try
        {
            for (int i = 0; i < 5; i++)
            {
                parts.Add(HostMemory.MapDescriptor(memory.Descriptor, offset, length, writable: true));
                (((ulong)parts[i].Pointer - offset) % alignment).Should().Be(0);
                parts[i].Pointer[length - 1] = (byte)(i + 1);
                memory.Pointer[offset + length - 1].Should().Be((byte)(i + 1));
            }
        }
        finally
        {
            parts.ForEach(static part => part.Dispose());
        }
    }

    [Fact]
    public void More_than_the_host_has_is_not_reserved()
    {
        using var memory = HostMemory.AllocateAnonymous(1UL << 40);
        memory.Pointer[(1UL << 40) - 1] = 1;
        memory.Pointer[(1UL << 40) - 1].Should().Be(1);
    }

    [Fact]
    public void What_a_guest_writes_to_shared_memory_is_visible_through_its_descriptor()
    {
        using var memory = HostMemory.AllocateShared("vmm-test", 3 * Page);
        var guest = new GuestMemory();
        GuestMemoryRegion region = guest.Add(0x1_0000, memory, Page, 2 * Page);
        region.Memory.Descriptor.Should().BePositive();
        guest.TryWrite(0x1_0000 + Page, [1, 2, 3]).Should().BeTrue();

        using var file = new SafeFileHandle(memory.Descriptor, ownsHandle: false);
        byte[] seen = new byte[3];
        RandomAccess.Read(file, seen, (long)(memory.DescriptorOffset + region.Offset + Page)).Should().Be(3);
        seen.Should().Equal(1, 2, 3);

        using var other = HostMemory.MapDescriptor(memory.Descriptor, 2 * Page, Page, writable: true);
        other.DescriptorOffset.Should().Be(2 * Page);
        other.Descriptor.Should().NotBe(memory.Descriptor);
        other.Pointer[1].Should().Be(2);
        other.Pointer[0] = 9;
        guest.TryReadUInt16(0x1_0000 + Page, out ushort value).Should().BeTrue();
        value.Should().Be(0x0209);
    }

    [Fact]
    public void Shared_memory_outlives_the_mapping_that_made_it()
    {
        var memory = HostMemory.AllocateShared("vmm-test", Page);
        memory.Pointer[0] = 7;
        using var other = HostMemory.MapDescriptor(memory.Descriptor, 0, Page, writable: false);
        memory.Dispose();
        other.Pointer[0].Should().Be(7);
    }

    [Fact]
    public void What_was_mapped_read_only_is_lent_read_only()
    {
        using var memory = HostMemory.AllocateShared("vmm-test", Page);
        using var other = HostMemory.MapDescriptor(memory.Descriptor, 0, Page, writable: false);
        FluentActions.Invoking(() => new MemoryClaim("ram", other, 0, Page)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new HostMemoryHandler(other)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new PciBarRegion("memory", 0, Page, other)).Should().Throw<ArgumentException>();

        var space = new AddressSpace(new AddressSpaceOptions());
        space.Add(new MemoryClaim("rom", other, 0, Page, readOnly: true), 0x1000);
        space.Write(0x1000, 4, 0x1234);
        space.Read(0x1000, 4).Should().Be(0);
        new HostMemoryHandler(other, readOnly: true).Write(0, 4, 1);
        _ = new PciBarRegion("memory", 0, Page, other, readOnly: true);
    }

    [Fact]
    public void The_size_of_shared_memory_cannot_be_changed_under_us()
    {
        using var memory = HostMemory.AllocateShared("vmm-test", 2 * Page);
        using var file = new SafeFileHandle(memory.Descriptor, ownsHandle: false);
        FluentActions.Invoking(() => RandomAccess.SetLength(file, (long)Page)).Should().Throw<Exception>();
        RandomAccess.GetLength(file).Should().Be((long)(2 * Page));
    }

    [Fact]
    public void A_file_is_mapped_from_an_offset_and_never_past_its_end()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, [.. Enumerable.Repeat((byte)1, (int)Page), 5, 6]);
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
            int descriptor = (int)file.DangerousGetHandle();
            using (var memory = HostMemory.MapDescriptor(descriptor, Page, 2, writable: true))
            {
                memory.Pointer[0].Should().Be(5);
                memory.Pointer[1] = 7;
            }

            byte[] last = new byte[1];
            RandomAccess.Read(file, last, (long)Page + 1).Should().Be(1);
            last[0].Should().Be(7);
            Refuse<HostException>(() => HostMemory.MapDescriptor(descriptor, Page, 3, true));
            Refuse<HostException>(() => HostMemory.MapDescriptor(descriptor, 16 * Page, 1, true));
            Refuse<ArgumentException>(() => HostMemory.MapDescriptor(descriptor, 1, 1, true));
            Refuse<ArgumentException>(() => HostMemory.MapDescriptor(descriptor, ulong.MaxValue - Page + 1, 1, true));
            Refuse<ArgumentException>(() => HostMemory.MapDescriptor(descriptor, 0, 0, true));
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void What_the_host_refuses_names_the_step()
    {
        Refuse<HostException>(() => HostMemory.AllocateAnonymous(1UL << 60)).Step.Should().Be("mmap");
        Refuse<HostException>(() => HostMemory.AllocateShared(new string('x', 300), Page)).Step.Should().Be("memfd_create");
        Refuse<HostException>(() => HostMemory.MapDescriptor(-1, 0, Page, true)).Step.Should().Be("fcntl(F_DUPFD_CLOEXEC)");
        Refuse<ArgumentException>(() => HostMemory.AllocateAnonymous(0));
        Refuse<ArgumentException>(() => HostMemory.AllocateAnonymous(ulong.MaxValue));
        Refuse<ArgumentException>(() => HostMemory.AllocateShared("", Page));
    }

    [HugePagesFact]
    public void Shared_memory_of_huge_pages_is_rounded_to_them()
    {
        using var page = new HugePage();
        using var memory = HostMemory.AllocateShared("vmm-test", 1, hugeTlb: true);
        memory.Length.Should().Be(2 << 20);
        memory.Pointer[memory.Length - 1] = 3;
        memory.Pointer[memory.Length - 1].Should().Be(3);
    }

    [Fact]
    public void Too_few_huge_pages_are_an_error_and_not_a_later_fault()
    {
        HostException error = Refuse<HostException>(() => HostMemory.AllocateShared("vmm-test", 1UL << 44, hugeTlb: true));
        error.Step.Should().BeOneOf("mmap", "memfd_create", "ftruncate");
    }

    [Fact]
    public void Disposal_is_idempotent_and_final()
    {
        var memory = HostMemory.AllocateAnonymous(Page);
        memory.Dispose();
        memory.Dispose();
        FluentActions.Invoking(() => (nint)memory.Pointer).Should().Throw<ObjectDisposedException>();
    }

    private static TException Refuse<TException>(Func<HostMemory> make)
        where TException : Exception
    {
        return make.Should().Throw<TException>().Which;
    }
}
