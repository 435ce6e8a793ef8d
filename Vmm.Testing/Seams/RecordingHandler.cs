using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;

namespace Vmm.Testing.Seams;

/// <summary>A region of plain bytes that remembers how it was accessed. For one thread.</summary>
public sealed class RecordingHandler : IRegionHandler
{
    /// <summary>Makes a region of plain bytes.</summary>
    /// <param name="length">Bytes; an access beyond them throws.</param>
    /// <param name="fill">The content of each byte at first.</param>
    public RecordingHandler(int length, byte fill = 0)
    {
        Bytes = new byte[length];
        Array.Fill(Bytes, fill);
    }

    /// <summary>The content.</summary>
    public byte[] Bytes { get; }

    /// <summary>Accesses in order.</summary>
    public List<RecordedAccess> Accesses { get; } = [];

    /// <summary>True if an access arrived that no handler should see: outside the region, of a strange width, or not naturally aligned.</summary>
    public bool SawForbidden { get; private set; }

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width)
    {
        Check(offset, width);
        Accesses.Add(new RecordedAccess(false, offset, width, 0));
        ulong value = ulong.MaxValue << (8 * (width - 1)) << 8; // what lies above the width is the bus's to cut off
        for (int i = 0; i < width; i++)
        {
            value |= (ulong)Bytes[(int)offset + i] << (8 * i);
        }

        return value;
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
        Check(offset, width);
        Accesses.Add(new RecordedAccess(true, offset, width, value));
        for (int i = 0; i < width; i++)
        {
            Bytes[(int)offset + i] = (byte)(value >> (8 * i));
        }

        SawForbidden |= width < 8 && value >> (8 * width) != 0;
    }

    /// <summary>The accesses as text, for example <c>r0+4 w8+2=1f</c>.</summary>
    public override string ToString() => string.Join(' ', Accesses.Select(a => a.ToString()));

    private void Check(ulong offset, int width)
    {
        SawForbidden |= width is not (1 or 2 or 4 or 8) || offset % (uint)width != 0 || offset + (uint)width > (uint)Bytes.Length;
    }
}
