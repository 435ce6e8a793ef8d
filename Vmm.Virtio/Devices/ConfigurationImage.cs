using System;
using System.Buffers.Binary;

namespace Vmm.Virtio.Devices;

/// <summary>Reads a device configuration that is kept as little-endian bytes.</summary>
public static class ConfigurationImage
{
    /// <summary>A field of 1, 2, 4 or 8 bytes; bytes past the end are 0.</summary>
    /// <param name="image">The configuration.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="width">Bytes: 1, 2, 4 or 8.</param>
    public static ulong Read(ReadOnlySpan<byte> image, int offset, int width)
    {
        if (offset < 0 || offset > image.Length - width)
        {
            return 0;
        }

        ReadOnlySpan<byte> field = image[offset..];
        return width switch
        {
            1 => field[0],
            2 => BinaryPrimitives.ReadUInt16LittleEndian(field),
            4 => BinaryPrimitives.ReadUInt32LittleEndian(field),
            8 => BinaryPrimitives.ReadUInt64LittleEndian(field),
            _ => 0,
        };
    }
}
