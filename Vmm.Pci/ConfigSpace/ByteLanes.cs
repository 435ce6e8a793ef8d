using System;

namespace Vmm.Pci.ConfigSpace;

/// <summary>The byte enables of an access to one 32-bit register: bit n is set if byte n takes part.</summary>
/// <param name="Mask">Bits 0 to 3.</param>
public readonly record struct ByteLanes(byte Mask)
{
    /// <summary>All four bytes.</summary>
    public static ByteLanes All => new(0xf);

    /// <summary>The register's bits that take part, for example 0x0000ff00 for byte 1 alone.</summary>
    public uint Bits
    {
        get
        {
            // Each lane bit is spread to its byte's lowest bit, then to the whole byte.
            uint spread = (Mask & 1u) | ((Mask & 2u) << 7) | ((Mask & 4u) << 14) | ((Mask & 8u) << 21);
            return spread * 0xff;
        }
    }

    /// <summary>Offset of the lowest byte that takes part, 0 to 3; 4 if none does.</summary>
    public int First => Math.Min(System.Numerics.BitOperations.TrailingZeroCount(Mask | 0x10), 4);

    /// <summary>How many bytes take part.</summary>
    public int Count => System.Numerics.BitOperations.PopCount(Mask);

    /// <summary>The lanes of an access.</summary>
    /// <param name="offset">Byte offset; its low two bits count. A multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2 or 4.</param>
    public static ByteLanes Of(int offset, int width) => new((byte)(((1 << width) - 1) << (offset & 3)));

    /// <summary>True if any of the bytes takes part.</summary>
    /// <param name="lanes">The bytes asked for.</param>
    public bool Overlaps(ByteLanes lanes) => (Mask & lanes.Mask) != 0;
}
