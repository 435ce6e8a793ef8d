using System;
using System.Buffers.Binary;
using System.Collections.Generic;

namespace Vmm.Machine.Acpi;

/// <summary>Writes the resource descriptors of a _CRS object (ACPI 6.4, section 6.4).</summary>
internal sealed class ResourceTemplate
{
    private const byte FixedRange = 0x0C;                       // minimum and maximum are fixed, the bridge decodes positively
    private readonly List<byte> _bytes = [];

    /// <summary>The descriptors and their end tag.</summary>
    public byte[] ToArray() => [.. _bytes, 0x79, 0x00];

    /// <summary>Ports that a device decodes, all 16 address lines.</summary>
    public ResourceTemplate Ports(ushort first, byte length)
    {
        _bytes.AddRange([0x47, 0x01]);
        U16(first);
        U16(first);
        _bytes.AddRange([0x01, length]);
        return this;
    }

    /// <summary>One edge-triggered, active-high, exclusive interrupt that the device raises.</summary>
    public ResourceTemplate EdgeInterrupt(uint gsi)
    {
        _bytes.AddRange([0x89, 0x06, 0x00, 0x03, 0x01]);
        U32(gsi);
        return this;
    }

    /// <summary>Memory below 4 GiB that a device decodes.</summary>
    public ResourceTemplate Memory32(uint address, uint length)
    {
        _bytes.AddRange([0x86, 0x09, 0x00, 0x01]);
        U32(address);
        U32(length);
        return this;
    }

    /// <summary>Bus numbers behind a bridge.</summary>
    public ResourceTemplate BusWindow(ushort first, ushort count)
    {
        _bytes.AddRange([0x88, 0x0D, 0x00, 0x02, FixedRange, 0x00]);
        U16(0);
        U16(first);
        U16((ushort)(first + count - 1));
        U16(0);
        U16(count);
        return this;
    }

    /// <summary>Ports behind a bridge.</summary>
    public ResourceTemplate PortWindow(ushort first, int length)
    {
        _bytes.AddRange([0x87, 0x17, 0x00, 0x01, FixedRange, 0x03]);
        U32(0);
        U32(first);
        U32((uint)(first + length - 1));
        U32(0);
        U32((uint)length);
        return this;
    }

    /// <summary>Memory behind a bridge, below 4 GiB.</summary>
    public ResourceTemplate MemoryWindow32(uint first, uint length)
    {
        _bytes.AddRange([0x87, 0x17, 0x00, 0x00, FixedRange, 0x01]);
        U32(0);
        U32(first);
        U32(first + length - 1);
        U32(0);
        U32(length);
        return this;
    }

    /// <summary>Memory behind a bridge, anywhere.</summary>
    public ResourceTemplate MemoryWindow64(ulong first, ulong length)
    {
        _bytes.AddRange([0x8A, 0x2B, 0x00, 0x00, FixedRange, 0x01]);
        U64(0);
        U64(first);
        U64(first + length - 1);
        U64(0);
        U64(length);
        return this;
    }

    private void U16(ushort value)
    {
        Span<byte> bytes = stackalloc byte[2];
        BinaryPrimitives.WriteUInt16LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    private void U32(uint value)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }

    private void U64(ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        _bytes.AddRange(bytes);
    }
}
