using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Boot;

/// <summary>An uncompressed ELF kernel, loaded segment by segment and entered by the x86/HVM direct boot ABI of Xen (PVH).</summary>
public sealed class PvhElf : KernelImage
{
    /// <summary>0x7F "ELF", read big-endian.</summary>
    internal const uint Magic = 0x7F45_4C46;

    private const int HeaderLength = 64;
    private const int ProgramHeaderLength = 56;
    private const int MachineX86 = 62;
    private const int MaximumNotes = 1 << 20;
    private const uint TypeLoad = 1;
    private const uint TypeNote = 4;
    private const uint NotePhys32Entry = 18;                    // XEN_ELFNOTE_PHYS32_ENTRY
    private const uint StartInfoMagic = 0x336E_C578;            // XEN_HVM_START_MAGIC_VALUE
    private const int StartInfoLength = 56;

    private readonly List<Segment> _segments = [];
    private readonly uint _entry;
    private ulong _start = ulong.MaxValue;
    private ulong _end;

    internal PvhElf(string path, SafeFileHandle file, long fileLength)
        : base(path, file, fileLength)
    {
        Span<byte> header = stackalloc byte[HeaderLength];
        if (fileLength < HeaderLength)
        {
            throw Bad("truncated: shorter than an ELF header");
        }

        GuestLoader.ReadExactly(file, header, 0, "kernel", path);
        if (header[4] != 2 || header[5] != 1 || U16(header, 18) != MachineX86)
        {
            throw Bad("not a 64-bit little-endian x86 ELF file");
        }

        ulong tableOffset = U64(header, 32);
        int count = U16(header, 56);
        if (count == 0 || U16(header, 54) != ProgramHeaderLength)
        {
            throw Bad("an ELF file without program headers: an executable kernel (vmlinux) is needed");
        }

        if (!GuestRange.Fits(tableOffset, (ulong)count * ProgramHeaderLength, (ulong)fileLength))
        {
            throw Bad("truncated: the program headers lie outside the file");
        }

        byte[] table = new byte[count * ProgramHeaderLength];
        GuestLoader.ReadExactly(file, table, (long)tableOffset, "kernel", path);
        uint? entry = null;
        for (int i = 0; i < count; i++)
        {
            ReadProgramHeader(table.AsSpan(i * ProgramHeaderLength, ProgramHeaderLength), ref entry);
        }

        if (entry is null)
        {
            throw Bad("no PVH entry (XEN_ELFNOTE_PHYS32_ENTRY note): a kernel built with CONFIG_PVH is needed");
        }

        _entry = entry.Value;
        if (!_segments.Exists(s => _entry >= s.Address && _entry - s.Address < s.FileLength))
        {
            throw Bad($"PVH entry 0x{_entry:x} lies outside the loaded segments");
        }
    }

    /// <inheritdoc/>
    public override BootProtocol Protocol => BootProtocol.Pvh;

    /// <inheritdoc/>
    public override int CommandLineLimit => 2047;               // COMMAND_LINE_SIZE of x86 less the terminating zero

    /// <inheritdoc/>
    public override ulong InitramfsLimit => 0x7FFF_FFFF;        // what Linux states in the setup header it builds for itself

    /// <inheritdoc/>
    public override ulong Start => _start;

    /// <inheritdoc/>
    public override ulong End => _end;

    /// <inheritdoc/>
    public override void Place(MemoryLayout layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        foreach (Segment segment in _segments)
        {
            if (segment.Address < MemoryLayout.HighMemory)
            {
                throw Bad($"a segment loads to 0x{segment.Address:x}, below 1 MiB");
            }

            if (!layout.IsLoadable(segment.Address, segment.Length))
            {
                throw Bad($"a segment loads to 0x{segment.Address:x}, 0x{segment.Length:x} bytes: "
                    + $"the machine has {layout.LowLength >> 20} MiB of RAM below the 32-bit hole");
            }
        }
    }

    internal override BootState Load(GuestMemory memory, BootHandover handover)
    {
        foreach (Segment segment in _segments)
        {
            GuestLoader.Load(memory, segment.Address, File, (long)segment.FileOffset, segment.FileLength, "kernel", Path);
        }

        WriteStartInfo(memory, handover);
        WriteGdt(memory);
        return new BootState(
            Protocol, _entry, BootLayout.StartInfo, Start, End, handover.InitramfsStart, handover.InitramfsLength);
    }

    private static void WriteStartInfo(GuestMemory memory, BootHandover handover)
    {
        Span<byte> info = stackalloc byte[StartInfoLength];
        info.Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(info, StartInfoMagic);
        BinaryPrimitives.WriteUInt32LittleEndian(info[4..], 1);                                    // version with a memory map
        BinaryPrimitives.WriteUInt64LittleEndian(info[24..], BootLayout.CommandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(info[32..], handover.RootPointer);
        BinaryPrimitives.WriteUInt64LittleEndian(info[40..], BootLayout.StartInfoMemoryMap);
        BinaryPrimitives.WriteInt32LittleEndian(info[48..], handover.MemoryMap.Count);
        if (handover.InitramfsLength != 0)
        {
            Span<byte> module = stackalloc byte[32];
            module.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(module, handover.InitramfsStart);
            BinaryPrimitives.WriteUInt64LittleEndian(module[8..], handover.InitramfsLength);
            GuestLoader.Write(memory, BootLayout.Modules, module);
            BinaryPrimitives.WriteUInt32LittleEndian(info[12..], 1);
            BinaryPrimitives.WriteUInt64LittleEndian(info[16..], BootLayout.Modules);
        }

        GuestLoader.Write(memory, BootLayout.StartInfo, info);
        Span<byte> map = new byte[handover.MemoryMap.Count * 24];
        for (int i = 0; i < handover.MemoryMap.Count; i++)
        {
            MemoryMapEntry entry = handover.MemoryMap[i];
            BinaryPrimitives.WriteUInt64LittleEndian(map[(i * 24)..], entry.Address);
            BinaryPrimitives.WriteUInt64LittleEndian(map[((i * 24) + 8)..], entry.Length);
            BinaryPrimitives.WriteUInt32LittleEndian(map[((i * 24) + 16)..], (uint)entry.Type);
        }

        GuestLoader.Write(memory, BootLayout.StartInfoMemoryMap, map);
    }

    private static void WriteGdt(GuestMemory memory)
    {
        Span<byte> gdt = stackalloc byte[BootLayout.GdtEntries * 8];
        gdt.Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.CodeSelector..], 0x00CF_9B00_0000_FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.DataSelector..], 0x00CF_9300_0000_FFFF);
        BinaryPrimitives.WriteUInt64LittleEndian(gdt[BootLayout.TaskSelector..], 0x0000_8B00_0000_0067);
        GuestLoader.Write(memory, BootLayout.Gdt, gdt);
    }

    private void ReadProgramHeader(ReadOnlySpan<byte> row, ref uint? entry)
    {
        uint type = U32(row, 0);
        if (type is not (TypeLoad or TypeNote))
        {
            return;
        }

        ulong offset = U64(row, 8);
        ulong fileLength = U64(row, 32);
        if (!GuestRange.Fits(offset, fileLength, (ulong)FileLength))
        {
            throw Bad($"truncated: a segment ends at byte {offset + fileLength}, the file has {FileLength}");
        }

        if (type == TypeNote)
        {
            entry ??= FindEntry(offset, fileLength);
            return;
        }

        ulong length = U64(row, 40);
        if (length == 0)
        {
            return;
        }

        ulong address = U64(row, 24);
        if (fileLength > length || !GuestRange.TryCreate(address, length, out _))
        {
            throw Bad($"a segment at 0x{address:x} has impossible lengths");
        }

        _segments.Add(new Segment(address, length, offset, fileLength));
        _start = Math.Min(_start, address);
        _end = Math.Max(_end, address + length);
    }

    private uint? FindEntry(ulong offset, ulong length)
    {
        if (length > MaximumNotes)
        {
            throw Bad($"a note segment of {length} bytes");
        }

        byte[] notes = new byte[(int)length];
        GuestLoader.ReadExactly(File, notes, (long)offset, "kernel", Path);
        ReadOnlySpan<byte> rest = notes;
        while (rest.Length >= 12)
        {
            ulong nameLength = U32(rest, 0);
            ulong valueLength = U32(rest, 4);
            uint type = U32(rest, 8);
            ulong valueStart = 12 + ((nameLength + 3) & ~3UL);
            ulong end = valueStart + ((valueLength + 3) & ~3UL);
            if (valueStart + valueLength > (ulong)rest.Length)
            {
                throw Bad("a note lies outside its segment");
            }

            if (type == NotePhys32Entry && nameLength == 4 && rest.Slice(12, 4).SequenceEqual("Xen\0"u8) && valueLength is 4 or 8)
            {
                ulong entry = valueLength == 4 ? U32(rest, (int)valueStart) : U64(rest, (int)valueStart);
                return entry <= uint.MaxValue ? (uint)entry : throw Bad($"PVH entry 0x{entry:x} lies above 4 GiB");
            }

            rest = end >= (ulong)rest.Length ? default : rest[(int)end..];
        }

        return null;
    }

    private static ushort U16(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt16LittleEndian(bytes[offset..]);

    private static uint U32(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt32LittleEndian(bytes[offset..]);

    private static ulong U64(ReadOnlySpan<byte> bytes, int offset) => BinaryPrimitives.ReadUInt64LittleEndian(bytes[offset..]);

    private KernelLoadException Bad(string reason) => new("kernel", Path, reason);

    private readonly record struct Segment(ulong Address, ulong Length, ulong FileOffset, ulong FileLength);
}
