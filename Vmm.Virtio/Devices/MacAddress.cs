using System;
using System.Globalization;
using System.Security.Cryptography;

namespace Vmm.Virtio.Devices;

/// <summary>An Ethernet address.</summary>
/// <param name="Value">The 48 bits, the first byte on the wire highest.</param>
public readonly record struct MacAddress(ulong Value)
{
    /// <summary>Bytes of an address.</summary>
    public const int Size = 6;

    /// <summary>True for an address that a network card can have: not a group address and not zero.</summary>
    public bool IsUnicast => (Value >> 40 & 1) == 0 && Value is > 0 and < 1UL << 48;

    /// <summary>A random address, locally administered.</summary>
    public static MacAddress CreateRandom()
    {
        Span<byte> bytes = stackalloc byte[Size];
        RandomNumberGenerator.Fill(bytes);
        bytes[0] = (byte)((bytes[0] & 0xfc) | 2);
        return FromBytes(bytes);
    }

    /// <summary>Reads six bytes in the order of the wire.</summary>
    /// <param name="bytes">At least six bytes.</param>
    public static MacAddress FromBytes(ReadOnlySpan<byte> bytes)
    {
        ulong value = 0;
        for (int i = 0; i < Size; i++)
        {
            value = (value << 8) | bytes[i];
        }

        return new MacAddress(value);
    }

    /// <summary>Reads <c>52:54:00:12:34:56</c>.</summary>
    /// <param name="text">Six hexadecimal bytes with colons.</param>
    /// <param name="address">The address.</param>
    /// <returns>False if the text is anything else.</returns>
    public static bool TryParse(string? text, out MacAddress address)
    {
        address = default;
        string[] parts = (text ?? "").Split(':');
        if (parts.Length != Size)
        {
            return false;
        }

        Span<byte> bytes = stackalloc byte[Size];
        for (int i = 0; i < Size; i++)
        {
            if (parts[i].Length != 2 || !byte.TryParse(parts[i], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out bytes[i]))
            {
                return false;
            }
        }

        address = FromBytes(bytes);
        return true;
    }

    /// <summary>Writes six bytes in the order of the wire.</summary>
    /// <param name="destination">At least six bytes.</param>
    public void CopyTo(Span<byte> destination)
    {
        for (int i = 0; i < Size; i++)
        {
            destination[i] = (byte)(Value >> (8 * (Size - 1 - i)));
        }
    }

    /// <summary>Six hexadecimal bytes with colons.</summary>
    public override string ToString()
    {
        return string.Create(CultureInfo.InvariantCulture,
            $"{(byte)(Value >> 40):x2}:{(byte)(Value >> 32):x2}:"
            + $"{(byte)(Value >> 24):x2}:{(byte)(Value >> 16):x2}:{(byte)(Value >> 8):x2}:{(byte)Value:x2}");
    }
}
