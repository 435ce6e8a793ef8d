using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;

namespace Vmm.Tests.Machine;

/// <summary>Makes small kernel files for the loaders: right by default, wrong where a test says so.</summary>
internal static class KernelBuilder
{
    public const int SetupSectors = 2;
    public const int CodeOffset = (SetupSectors + 1) * 512;

    /// <summary>A bzImage of boot protocol 2.15 with recognisable code.</summary>
    public static byte[] BzImage(int codeLength = 0x1000, Action<byte[]>? change = null)
    {
        byte[] image = new byte[CodeOffset + codeLength];
        image[0x1F1] = SetupSectors;
        U32(image, 0x1F4, (uint)codeLength / 16);
        U16(image, 0x1FE, 0xAA55);
        image[0x200] = 0xEB;
        image[0x201] = 0x6A;                                    // the header ends at 0x26c
        U32(image, 0x202, 0x53726448);
        U16(image, 0x206, 0x020F);
        image[0x211] = 1;                                       // LOADED_HIGH
        U32(image, 0x22C, 0x7FFF_FFFF);
        U32(image, 0x230, 0x20_0000);
        image[0x234] = 1;                                       // relocatable
        U16(image, 0x236, 0x3F);
        U32(image, 0x238, 2047);
        U64(image, 0x258, 0x100_0000);
        U32(image, 0x260, 0x40_0000);                           // init_size
        for (int i = CodeOffset; i < image.Length; i++)
        {
            image[i] = (byte)(i * 7);
        }

        change?.Invoke(image);
        return image;
    }

    /// <summary>An ELF vmlinux with one loaded segment of 0x2000 bytes (0x1000 of them in the file) at 16 MiB and a PVH note.</summary>
    public static byte[] Vmlinux(Action<byte[]>? change = null)
    {
        const int Notes = 0x100;
        const int Code = 0x1000;
        byte[] image = new byte[0x2000];
        new byte[] { 0x7F, (byte)'E', (byte)'L', (byte)'F', 2, 1, 1 }.CopyTo(image, 0);
        U16(image, 16, 2);
        U16(image, 18, 62);
        U64(image, 24, 0x100_0000);
        U64(image, 32, 64);
        U16(image, 54, 56);
        U16(image, 56, 2);
        ProgramHeader(image, 64, 1, Code, 0x100_0000, 0x1000, 0x2000);
        byte[] notes = [.. Note("GNU\0", 3, new byte[20]), .. Note("Xen\0", 18, BitConverter.GetBytes(0x100_0040u))];
        ProgramHeader(image, 64 + 56, 4, Notes, 0, (ulong)notes.Length, (ulong)notes.Length);
        notes.CopyTo(image, Notes);
        for (int i = Code; i < image.Length; i++)
        {
            image[i] = (byte)(i * 5);
        }

        change?.Invoke(image);
        return image;
    }

    public static byte[] Note(string name, uint type, byte[] value)
    {
        var bytes = new List<byte>();
        bytes.AddRange(BitConverter.GetBytes(name.Length));
        bytes.AddRange(BitConverter.GetBytes(value.Length));
        bytes.AddRange(BitConverter.GetBytes(type));
        bytes.AddRange(name.Select(c => (byte)c));
        bytes.AddRange(new byte[-name.Length & 3]);
        bytes.AddRange(value);
        bytes.AddRange(new byte[-value.Length & 3]);
        return [.. bytes];
    }

    public static void U16(byte[] bytes, int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(offset), value);

    public static void U32(byte[] bytes, int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(offset), value);

    public static void U64(byte[] bytes, int offset, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), value);

    private static void ProgramHeader(byte[] image, int at, uint type, ulong offset, ulong address, ulong fileLength, ulong length)
    {
        U32(image, at, type);
        U64(image, at + 8, offset);
        U64(image, at + 16, address);
        U64(image, at + 24, address);
        U64(image, at + 32, fileLength);
        U64(image, at + 40, length);
    }
}
