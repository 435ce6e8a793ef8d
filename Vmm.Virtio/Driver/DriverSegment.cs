using System;
using Vmm.Pci.Access;

namespace Vmm.Virtio.Driver;

/// <summary>One piece of a request.</summary>
/// <param name="Iova">Where the device finds it.</param>
/// <param name="Length">Bytes, at least 1.</param>
/// <param name="DeviceWrites">The device writes it rather than reads it; such pieces come last.</param>
public readonly record struct DriverSegment(ulong Iova, uint Length, bool DeviceWrites)
{
    /// <summary>A part of memory that is mapped for the device.</summary>
    /// <param name="mapping">The mapping.</param>
    /// <param name="offset">First byte, by offset in the mapping.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="deviceWrites">The device writes it rather than reads it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie in the mapping.</exception>
    public static DriverSegment Of(IDmaMapping mapping, ulong offset, uint length, bool deviceWrites)
    {
        ArgumentNullException.ThrowIfNull(mapping);
        return new DriverSegment(mapping.Translate(offset, length), length, deviceWrites);
    }

    /// <summary>Checks that pieces make a request that a driver may hand out.</summary>
    /// <returns>Bytes that the device may write.</returns>
    /// <exception cref="ArgumentException">A piece is empty, a readable one comes after a writable one, or there are too many bytes.</exception>
    internal static uint CheckRequest(ReadOnlySpan<DriverSegment> segments)
    {
        ulong readable = 0;
        ulong writable = 0;
        foreach (ref readonly DriverSegment segment in segments)
        {
            if (segment.Length == 0 || (writable != 0 && !segment.DeviceWrites))
            {
                throw new ArgumentException("a segment has at least one byte, and what the device writes comes last", nameof(segments));
            }

            if (segment.DeviceWrites)
            {
                writable += segment.Length;
            }
            else
            {
                readable += segment.Length;
            }
        }

        // A chain has at most 4 GiB (2.7.5.2), and a device says in 32 bits how much it wrote (2.7.8, 2.8.13).
        return readable + writable <= 1UL << 32 && writable <= uint.MaxValue
            ? (uint)writable
            : throw new ArgumentException("a request has at most 4 GiB, of which the device writes less", nameof(segments));
    }
}
