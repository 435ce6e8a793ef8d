using System;
using System.Buffers.Binary;
using System.IO;
using System.Linq;
using System.Text;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Boot;
using Vmm.Machine.Layout;

namespace Vmm.Tests.Machine;

/// <summary>Loading by the Linux boot protocol (boot.rst) and by the x86/HVM direct boot ABI (PVH), with small synthetic kernels.</summary>
public sealed class BootLoaderTests : IDisposable
{
    private const ulong MiB = 1 << 20;
    private const ulong RootPointer = 0xE_0000;

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("vmm-boot");
    private readonly MemoryLayout _layout = MemoryLayout.Create(64 * MiB, 40);
    private readonly HostMemory _host = HostMemory.AllocateAnonymous(64 * MiB);
    private readonly GuestMemory _memory = new();

    public BootLoaderTests()
    {
        _memory.Add(0, _host, 0, 64 * MiB);
    }

    public void Dispose()
    {
        _host.Dispose();
        _folder.Delete(true);
    }

    [Fact]
    public void A_bzImage_goes_to_its_preferred_address_and_is_entered_at_0x200()
    {
        byte[] image = KernelBuilder.BzImage();
        BootState state = Load(image, commandLine: "console=ttyS0 quiet");

        state.Protocol.Should().Be(BootProtocol.Linux64);
        state.EntryPoint.Should().Be(0x100_0200);
        state.KernelStart.Should().Be(0x100_0000);
        state.KernelEnd.Should().Be(0x140_0000, "init_size is kept free");
        Read(0x100_0000, 0x1000).Should().Equal(image[KernelBuilder.CodeOffset..]);

        byte[] parameters = Read(state.Parameters, 4096);
        parameters.AsSpan(0x1F1, 0x1FA - 0x1F1).SequenceEqual(image.AsSpan(0x1F1, 0x1FA - 0x1F1)).Should().BeTrue("the setup header is the kernel's");
        parameters[0x1EF].Should().Be(0, "the sentinel says that the page was zeroed");
        parameters[0x210].Should().Be(0xFF, "an unregistered loader");
        U64(parameters, 0x70).Should().Be(RootPointer);
        U32(parameters, 0x218).Should().Be(0, "there is no initramfs");
        uint commandLine = U32(parameters, 0x228);
        Encoding.ASCII.GetString(Read(commandLine, 20)).Should().Be("console=ttyS0 quiet\0");
        parameters[0x1E8].Should().Be((byte)_layout.CreateMemoryMap().Count);
        foreach ((int i, MemoryMapEntry entry) in _layout.CreateMemoryMap().Index())
        {
            U64(parameters, 0x2D0 + (i * 20)).Should().Be(entry.Address);
            U64(parameters, 0x2D0 + (i * 20) + 8).Should().Be(entry.Length);
            U32(parameters, 0x2D0 + (i * 20) + 16).Should().Be((uint)entry.Type);
        }
    }

    [Fact]
    public void The_page_tables_map_the_first_4_GiB_to_themselves()
    {
        Load(KernelBuilder.BzImage());
        foreach (ulong address in (ulong[])[0, 0x7000, 0x100_0200, 0x3FFF_FFFF, 0xC000_0000, 0xFFFF_FFFF])
        {
            ulong table = 0x9000;
            foreach (int shift in (int[])[39, 30, 21])
            {
                ulong entry = U64(Read(table + (((address >> shift) & 511) * 8), 8), 0);
                (entry & 3).Should().Be(3, "present and writable at 0x{0:x}", address);
                table = entry & 0x000F_FFFF_FFFF_F000;
                ((entry & 0x80) != 0).Should().Be(shift == 21, "2-MiB pages");
            }

            (table + (address & 0x1F_FFFF)).Should().Be(address);
        }
    }

    [Fact]
    public void A_relocatable_bzImage_goes_lower_where_its_preferred_address_is_no_RAM()
    {
        BootState state = Load(KernelBuilder.BzImage(change: image => KernelBuilder.U64(image, 0x258, 0x1000_0000)));
        state.KernelStart.Should().Be(2 * MiB, "1 MiB, aligned to 2 MiB");
    }

    [Fact]
    public void An_ELF_kernel_is_loaded_by_segments_and_entered_at_its_note()
    {
        byte[] image = KernelBuilder.Vmlinux();
        BootState state = Load(image, commandLine: "quiet", initramfs: new byte[5000]);

        state.Protocol.Should().Be(BootProtocol.Pvh);
        state.EntryPoint.Should().Be(0x100_0040);
        state.KernelEnd.Should().Be(0x100_2000);
        Read(0x100_0000, 0x1000).Should().Equal(image[0x1000..]);
        Read(0x100_1000, 0x1000).Should().OnlyContain(b => b == 0, "the rest of the segment is zero");

        byte[] info = Read(state.Parameters, 56);
        U32(info, 0).Should().Be(0x336E_C578);
        U32(info, 4).Should().Be(1);
        U32(info, 12).Should().Be(1);
        Encoding.ASCII.GetString(Read(U64(info, 24), 6)).Should().Be("quiet\0");
        U64(info, 32).Should().Be(RootPointer);
        byte[] module = Read(U64(info, 16), 32);
        U64(module, 0).Should().Be(state.InitramfsStart);
        U64(module, 8).Should().Be(5000);
        int rows = (int)U32(info, 48);
        rows.Should().Be(_layout.CreateMemoryMap().Count);
        byte[] map = Read(U64(info, 40), rows * 24);
        foreach ((int i, MemoryMapEntry entry) in _layout.CreateMemoryMap().Index())
        {
            U64(map, i * 24).Should().Be(entry.Address);
            U64(map, (i * 24) + 8).Should().Be(entry.Length);
            U32(map, (i * 24) + 16).Should().Be((uint)entry.Type);
        }
    }

    [Fact]
    public void Without_an_initramfs_PVH_has_no_modules()
    {
        BootState state = Load(KernelBuilder.Vmlinux());
        byte[] info = Read(state.Parameters, 56);
        U32(info, 12).Should().Be(0);
        U64(info, 16).Should().Be(0);
    }

    [Fact]
    public void The_initramfs_lies_as_high_as_RAM_allows_on_a_page()
    {
        byte[] content = [.. Enumerable.Range(0, 10_000).Select(i => (byte)(i * 3))];
        BootState state = Load(KernelBuilder.BzImage(), initramfs: content);
        state.InitramfsStart.Should().Be((64 * MiB) - 0x3000);
        state.InitramfsLength.Should().Be(10_000);
        Read(state.InitramfsStart, 10_000).Should().Equal(content);
        byte[] parameters = Read(state.Parameters, 4096);
        U32(parameters, 0x218).Should().Be((uint)state.InitramfsStart);
        U32(parameters, 0x21C).Should().Be(10_000);
    }

    [Fact]
    public void The_initramfs_stays_below_the_kernels_limit()
    {
        BootState state = Load(
            KernelBuilder.BzImage(change: image => KernelBuilder.U32(image, 0x22C, 0x1FF_FFFF)), initramfs: new byte[0x1000]);
        state.InitramfsStart.Should().Be((32 * MiB) - 0x1000);
    }

    [Fact]
    public void An_initramfs_that_leaves_no_room_for_the_kernel_is_refused()
    {
        KernelLoadException e = Fail(KernelBuilder.BzImage(), initramfs: new byte[50 * MiB]);
        e.Part.Should().Be("initramfs");
        e.Subject.Should().Be(Path("initramfs"));
        e.Reason.Should().Contain("do not fit");
    }

    [Fact]
    public void An_initramfs_larger_than_RAM_is_refused()
    {
        string path = Path("large");
        using (FileStream file = File.Create(path))
        {
            file.SetLength(10L << 30);
        }

        using KernelImage kernel = Open(KernelBuilder.BzImage());
        Action act = () => BootLoader.Load(_memory, _layout, kernel, path, "", RootPointer);
        act.Should().Throw<KernelLoadException>().Which.Subject.Should().Be(path);
    }

    [Theory]
    [InlineData("absent", "no such file")]
    [InlineData("empty", "is empty")]
    [InlineData("", "is a directory")]
    public void A_bad_initramfs_is_refused(string name, string reason)
    {
        File.WriteAllBytes(Path("empty"), []);
        using KernelImage kernel = Open(KernelBuilder.BzImage());
        Action act = () => BootLoader.Load(_memory, _layout, kernel, Path(name), "", RootPointer);
        act.Should().Throw<KernelLoadException>().Which.Reason.Should().Contain(reason);
    }

    [Fact]
    public void A_command_line_of_the_kernels_limit_fits_and_one_more_does_not()
    {
        Load(KernelBuilder.BzImage(), commandLine: new string('x', 2047)).Should().NotBeNull();
        Fail(KernelBuilder.BzImage(), commandLine: new string('x', 2048)).Reason.Should().Contain("2048").And.Contain("2047");
        Fail(KernelBuilder.BzImage(), commandLine: "a\0b").Part.Should().Be("cmdline");
    }

    [Theory]
    [InlineData(0, "neither a bzImage nor an ELF vmlinux")]
    [InlineData(3, "neither a bzImage nor an ELF vmlinux")]
    [InlineData(0x263, "neither a bzImage nor an ELF vmlinux")]
    [InlineData(0x264, "truncated")]
    [InlineData(KernelBuilder.CodeOffset + 0xFFF, "truncated")]
    public void A_bzImage_that_is_cut_short_is_refused(int length, string reason)
    {
        Fail(KernelBuilder.BzImage()[..length]).Reason.Should().Contain(reason);
    }

    [Theory]
    [InlineData("old", "boot protocol 2.10")]
    [InlineData("32-bit", "no 64-bit entry")]
    [InlineData("low", "zImage")]
    [InlineData("header", "setup header ends")]
    [InlineData("no code", "no kernel code")]
    [InlineData("huge", "truncated")]
    [InlineData("large", "MiB of RAM")]
    [InlineData("fixed", "MiB of RAM")]
    public void A_bzImage_that_cannot_be_booted_is_refused(string what, string reason)
    {
        byte[] image = KernelBuilder.BzImage(change: bytes =>
        {
            switch (what)
            {
                case "old":
                    KernelBuilder.U16(bytes, 0x206, 0x020A);
                    break;
                case "32-bit":
                    KernelBuilder.U16(bytes, 0x236, 0x3E);
                    break;
                case "low":
                    bytes[0x211] = 0;
                    break;
                case "header":
                    bytes[0x201] = 0xFF;
                    break;
                case "no code":
                    KernelBuilder.U32(bytes, 0x1F4, 0);
                    break;
                case "huge":
                    KernelBuilder.U32(bytes, 0x1F4, uint.MaxValue);
                    break;
                case "large":
                    KernelBuilder.U32(bytes, 0x260, 0x8000_0000);
                    break;
                default:
                    bytes[0x234] = 0;
                    KernelBuilder.U64(bytes, 0x258, ulong.MaxValue - 10);
                    break;
            }
        });
        KernelLoadException e = Fail(image);
        e.Reason.Should().Contain(reason);
        e.Subject.Should().Be(Path("kernel"));
    }

    [Theory]
    [InlineData("short", "truncated")]
    [InlineData("32-bit", "not a 64-bit")]
    [InlineData("big-endian", "not a 64-bit")]
    [InlineData("arm", "not a 64-bit")]
    [InlineData("no table", "without program headers")]
    [InlineData("table outside", "program headers lie outside")]
    [InlineData("segment outside", "truncated")]
    [InlineData("lengths", "impossible lengths")]
    [InlineData("wrap", "impossible lengths")]
    [InlineData("no note", "no PVH entry")]
    [InlineData("note outside", "outside its segment")]
    [InlineData("entry outside", "outside the loaded segments")]
    [InlineData("low", "below 1 MiB")]
    [InlineData("high", "MiB of RAM")]
    public void An_ELF_file_that_cannot_be_booted_is_refused(string what, string reason)
    {
        const int Load = 64;
        byte[] image = KernelBuilder.Vmlinux(bytes =>
        {
            switch (what)
            {
                case "32-bit":
                    bytes[4] = 1;
                    break;
                case "big-endian":
                    bytes[5] = 2;
                    break;
                case "arm":
                    KernelBuilder.U16(bytes, 18, 183);
                    break;
                case "no table":
                    KernelBuilder.U16(bytes, 56, 0);
                    break;
                case "table outside":
                    KernelBuilder.U64(bytes, 32, ulong.MaxValue - 5);
                    break;
                case "segment outside":
                    KernelBuilder.U64(bytes, Load + 8, 0x1001);
                    break;
                case "lengths":
                    KernelBuilder.U64(bytes, Load + 40, 0xFFF);
                    break;
                case "wrap":
                    KernelBuilder.U64(bytes, Load + 24, ulong.MaxValue - 0x100);
                    break;
                case "no note":
                    bytes[0x100 + 36 + 8] = 17;
                    break;
                case "note outside":
                    KernelBuilder.U32(bytes, 0x100, 0x1000);
                    break;
                case "entry outside":
                    KernelBuilder.U32(bytes, 0x100 + 36 + 16, 0x100_1000);
                    break;
                case "low":
                    KernelBuilder.U64(bytes, Load + 24, 0x8_0000);
                    KernelBuilder.U32(bytes, 0x100 + 36 + 16, 0x8_0000);
                    break;
                case "high":
                    KernelBuilder.U64(bytes, Load + 24, 0x1000_0000);
                    KernelBuilder.U32(bytes, 0x100 + 36 + 16, 0x1000_0000);
                    break;
                default:
                    break;
            }
        });
        Fail(what == "short" ? image[..40] : image).Reason.Should().Contain(reason);
    }

    [Fact]
    public void Files_that_are_no_kernel_are_refused()
    {
        Fail(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("This is not a kernel.\n", 100)))).Reason.Should().Contain("neither");
        ((Action)(() => KernelImage.Open(_folder.FullName))).Should().Throw<KernelLoadException>().Which.Reason.Should().Be("is a directory");
        ((Action)(() => KernelImage.Open(Path("absent")))).Should().Throw<KernelLoadException>().Which.Reason.Should().Be("no such file");
    }

    [Fact]
    public void Random_damage_is_an_error_or_a_kernel_but_never_anything_else()
    {
        var random = new Random(64);
        for (int i = 0; i < 500; i++)
        {
            byte[] image = (i & 1) == 0 ? KernelBuilder.BzImage() : KernelBuilder.Vmlinux();
            for (int n = random.Next(1, 6); n > 0; n--)
            {
                image[random.Next(0x280)] = (byte)random.Next(256);
            }

            try
            {
                Load(image[..random.Next(1, image.Length + 1)]);
            }
            catch (KernelLoadException e)
            {
                e.Message.Should().NotContain("\n");
            }
        }
    }

    private static uint U32(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes.AsSpan(offset));

    private static ulong U64(byte[] bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(offset));

    private string Path(string name) => System.IO.Path.Combine(_folder.FullName, name);

    private KernelImage Open(byte[] image)
    {
        File.WriteAllBytes(Path("kernel"), image);
        return KernelImage.Open(Path("kernel"));
    }

    private BootState Load(byte[] image, string commandLine = "", byte[]? initramfs = null)
    {
        using KernelImage kernel = Open(image);
        if (initramfs is not null)
        {
            File.WriteAllBytes(Path("initramfs"), initramfs);
        }

        return BootLoader.Load(_memory, _layout, kernel, initramfs is null ? null : Path("initramfs"), commandLine, RootPointer);
    }

    private KernelLoadException Fail(byte[] image, string commandLine = "", byte[]? initramfs = null)
    {
        Action act = () => Load(image, commandLine, initramfs);
        return act.Should().Throw<KernelLoadException>().Which;
    }

    private byte[] Read(ulong address, int length)
    {
        byte[] bytes = new byte[length];
        _memory.TryRead(address, bytes).Should().BeTrue();
        return bytes;
    }
}
