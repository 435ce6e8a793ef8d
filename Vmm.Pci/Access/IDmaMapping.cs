using System;

namespace Vmm.Pci.Access;

/// <summary>Memory of this process that a device reaches.</summary>
/// <remarks>Disposal ends that; who disposes makes sure that the device accesses it no more. Looked into from any thread.</remarks>
public interface IDmaMapping : IDisposable
{
    /// <summary>Where the device finds the first byte.</summary>
    ulong Iova { get; }

    /// <summary>Bytes that the device reaches from there on.</summary>
    ulong Length { get; }

    /// <summary>Where the device finds a part of it.</summary>
    /// <param name="offset">First byte of the part, by offset in the mapping.</param>
    /// <param name="length">Bytes of the part.</param>
    /// <exception cref="ArgumentOutOfRangeException">The part does not lie in the mapping.</exception>
    ulong Translate(ulong offset, ulong length)
    {
        return DeviceModel.Memory.GuestRange.Fits(offset, length, Length)
            ? Iova + offset
            : throw new ArgumentOutOfRangeException(nameof(offset), $"0x{length:x} bytes at 0x{offset:x} do not lie in a mapping of 0x{Length:x}");
    }

    /// <summary>Where the device finds bytes that are somewhere in the mapping.</summary>
    /// <param name="part">The bytes, as this process has them.</param>
    /// <param name="iova">The address of the first.</param>
    /// <returns>False if they do not all lie in the mapping.</returns>
    bool TryTranslate(ReadOnlySpan<byte> part, out ulong iova);
}
