using System;
using System.Runtime.InteropServices;

namespace Vmm.DeviceModel.Memory;

/// <content>Single values, little-endian as guest and host are.</content>
public sealed unsafe partial class GuestMemory
{
    /// <summary>Reads a little-endian 16-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value, 0 on failure.</param>
    /// <returns>False if any byte is not RAM.</returns>
    public bool TryReadUInt16(ulong address, out ushort value)
    {
        ushort read = 0;
        bool inside = TryRead(address, MemoryMarshal.AsBytes(new Span<ushort>(ref read)));
        value = inside ? read : (ushort)0;
        return inside;
    }

    /// <summary>Writes a little-endian 16-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value.</param>
    /// <returns>False, with nothing written, if any byte is not RAM.</returns>
    public bool TryWriteUInt16(ulong address, ushort value) => TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<ushort>(in value)));

    /// <summary>Reads a little-endian 32-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value, 0 on failure.</param>
    /// <returns>False if any byte is not RAM.</returns>
    public bool TryReadUInt32(ulong address, out uint value)
    {
        uint read = 0;
        bool inside = TryRead(address, MemoryMarshal.AsBytes(new Span<uint>(ref read)));
        value = inside ? read : (uint)0;
        return inside;
    }

    /// <summary>Writes a little-endian 32-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value.</param>
    /// <returns>False, with nothing written, if any byte is not RAM.</returns>
    public bool TryWriteUInt32(ulong address, uint value) => TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<uint>(in value)));

    /// <summary>Reads a little-endian 64-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value, 0 on failure.</param>
    /// <returns>False if any byte is not RAM.</returns>
    public bool TryReadUInt64(ulong address, out ulong value)
    {
        ulong read = 0;
        bool inside = TryRead(address, MemoryMarshal.AsBytes(new Span<ulong>(ref read)));
        value = inside ? read : (ulong)0;
        return inside;
    }

    /// <summary>Writes a little-endian 64-bit value.</summary>
    /// <param name="address">Guest-physical address; need not be aligned.</param>
    /// <param name="value">The value.</param>
    /// <returns>False, with nothing written, if any byte is not RAM.</returns>
    public bool TryWriteUInt64(ulong address, ulong value) => TryWrite(address, MemoryMarshal.AsBytes(new ReadOnlySpan<ulong>(in value)));
}
