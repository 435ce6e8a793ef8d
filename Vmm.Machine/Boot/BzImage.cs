using System;
using System.Buffers.Binary;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Boot;

/// <summary>A compressed Linux kernel, loaded and entered by the 64-bit boot protocol (the kernel's Documentation/arch/x86/boot.rst).</summary>
public sealed class BzImage : KernelImage
{
    /// <summary>Bytes of the file that are looked at: the boot sector and the setup header.</summary>
    internal const int HeaderLength = 0x290;

    private const int SetupHeader = 0x1F1;
    private const uint HeaderMagic = 0x5372_6448;               // "HdrS"
    private const ushort BootFlag = 0xAA55;
    private const ushort MinimumVersion = 0x020C;               // 2.12 brought xloadflags
    private const ushort Kernel64 = 1 << 0;                     // XLF_KERNEL_64
    private const byte LoadedHigh = 1 << 0;                     // LOADED_HIGH
    private const uint EntryOffset = 0x200;                     // of the 64-bit entry in the loaded code
    private const ulong LargestWithoutInitSize = 64UL << 20;

    private readonly byte[] _head;
    private readonly long _codeOffset;
    private readonly ulong _codeLength;
    private readonly ulong _runLength;
    private ulong _start;

    internal BzImage(string path, SafeFileHandle file, long fileLength, byte[] head)
        : base(path, file, fileLength)
    {
        _head = head;
        ushort version = U16(0x206);
        if (version < MinimumVersion)
        {
            throw Bad($"boot protocol {version >> 8}.{version & 0xFF:00}, 2.12 or later is needed (Linux 3.8)");
        }

        if ((U16(0x236) & Kernel64) == 0)
        {
            throw Bad("has no 64-bit entry: a 64-bit x86 kernel is needed");
        }

        if ((head[0x211] & LoadedHigh) == 0)
        {
            throw Bad("a zImage, which loads below 1 MiB: a bzImage is needed");
        }

        int headerEnd = 0x202 + head[0x201];
        if (headerEnd < 0x264 || headerEnd > HeaderLength)
        {
            throw Bad($"setup header ends at 0x{headerEnd:x}, expected 0x264 to 0x{HeaderLength:x}");
        }

        // A setup of 0 sectors means 4, for the sake of very old kernels.
        int setupSectors = head[SetupHeader] == 0 ? 4 : head[SetupHeader];
        _codeOffset = (setupSectors + 1) * 512L;
        _codeLength = (ulong)U32(0x1F4) * 16;
        if (_codeLength <= EntryOffset)
        {
            throw Bad("setup header tells of no kernel code");
        }

        if (fileLength < _codeOffset || (ulong)(fileLength - _codeOffset) < _codeLength)
        {
            throw Bad($"truncated: {fileLength} bytes, its header tells of {(ulong)_codeOffset + _codeLength}");
        }

        uint initSize = U32(0x260);
        _runLength = Math.Max(_codeLength, initSize == 0 ? LargestWithoutInitSize : initSize);
    }

    /// <inheritdoc/>
    public override BootProtocol Protocol => BootProtocol.Linux64;

    /// <inheritdoc/>
    public override int CommandLineLimit => (int)Math.Min(U32(0x238), BootLayout.CommandLineLimit);

    /// <inheritdoc/>
    public override ulong InitramfsLimit => U32(0x22C);

    /// <inheritdoc/>
    public override ulong Start => _start;

    /// <inheritdoc/>
    public override ulong End => _start + _runLength;

    private bool IsRelocatable => _head[0x234] != 0;

    /// <inheritdoc/>
    public override void Place(MemoryLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ulong preferred = U64(0x258);
        if (layout.IsLoadable(preferred, _runLength))
        {
            _start = preferred;
            return;
        }

        ulong alignment = Math.Max(U32(0x230), 0x1000);
        ulong lowest = (MemoryLayout.HighMemory + alignment - 1) / alignment * alignment;
        if (!IsRelocatable || !layout.IsLoadable(lowest, _runLength))
        {
            ulong needed = (IsRelocatable ? lowest : preferred) + _runLength;
            throw Bad($"needs {(needed + 0xFFFFF) >> 20} MiB of RAM to start, the machine has {layout.LowLength >> 20} MiB below the 32-bit hole");
        }

        _start = lowest;
    }

    internal static bool IsRecognised(ReadOnlySpan<byte> head)
    {
        return head.Length >= 0x264
            && BinaryPrimitives.ReadUInt32LittleEndian(head[0x202..]) == HeaderMagic
            && BinaryPrimitives.ReadUInt16LittleEndian(head[0x1FE..]) == BootFlag;
    }

    internal override BootState Load(GuestMemory memory, BootHandover handover)
    {
        GuestLoader.Load(memory, _start, File, _codeOffset, _codeLength, "kernel", Path);
        WriteBootParameters(memory, handover);
        WritePageTables(memory);
        WriteGdt(memory);
        return new BootState(
            Protocol, _start + EntryOffset, BootLayout.BootParameters, Start, End, handover.InitramfsStart, handover.InitramfsLength);
    }

    private void WriteBootParameters(GuestMemory memory, BootHandover handover)
    {
        Span<byte> page = new byte[4096];
        int headerEnd = 0x202 + _head[0x201];
        _head.AsSpan(SetupHeader, headerEnd - SetupHeader).CopyTo(page[SetupHeader..]);
        BinaryPrimitives.WriteUInt64LittleEndian(page[0x070..], handover.RootPointer);
        BinaryPrimitives.WriteUInt16LittleEndian(page[0x1FA..], 0xFFFF);                           // vid_mode: normal
        page[0x210] = 0xFF;                                                                         // type_of_loader: unregistered
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x214..], (uint)_start);                     // code32_start
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x218..], (uint)handover.InitramfsStart);
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x21C..], (uint)handover.InitramfsLength);
        BinaryPrimitives.WriteUInt32LittleEndian(page[0x228..], (uint)BootLayout.CommandLine);
        page[0x1E8] = (byte)handover.MemoryMap.Count;
        Span<byte> row = page[0x2D0..];
        foreach (MemoryMapEntry entry in handover.MemoryMap)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(row, entry.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(row[8..], entry.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(row[16..], (uint)entry.Type);
            row = row[20..];
        }

        GuestLoader.Write(memory, BootLayout.BootParameters, page);
    }

    /// <summary>Identity map of the first 4 GiB by 2-MiB pages: the protocol asks for the kernel, the parameters and the command line.</summary>
    private static void WritePageTables(GuestMemory memory)
    {
        const ulong PresentWritable = 3;
        const ulong Large = 1 << 7;
        Span<byte> tables = new byte[6 * 4096];
        BinaryPrimitives.WriteUInt64LittleEndian(tables, (BootLayout.PageTables + 0x1000) | PresentWritable);
        for (int gib = 0; gib < 4; gib++)
        {
            ulong directory = BootLayout.PageTables + 0x2000 + ((ulong)gib * 0x1000);
            BinaryPrimitives.WriteUInt64LittleEndian(tables[(0x1000 + (gib * 8))..], directory | PresentWritable);
        }

        for (int page = 0; page < 4 * 512; page++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(tables[(0x2000 + (page * 8))..], ((ulong)page << 21) | PresentWritable | Large);
        }

        GuestLoader.Write(memory, BootLayout.PageTables, tables);
    }

    private static void WriteGdt(GuestMemory memory)
    {
        Span<byte> gdt = stackalloc byte[BootLayout.GdtEntries * 8];
        gdt.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.CodeSelector..], 0x00AF_9B00_0000_FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.DataSelector..], 0x00CF_9300_0000_FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.TaskSelector..], 0x0000_8B00_0000_0067);
        GuestLoader.Write(memory, BootLayout.Gdt, gdt);
    }

    private ushort U16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(_head.AsSpan(offset));

    private uint U32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(_head.AsSpan(offset));

    private ulong U64(int offset) => BinaryPrimitives.ReadUInt64LittleEndian(_head.AsSpan(offset));

    private KernelLoadException Bad(string reason) => new("kernel", Path, reason);
}
