using System;

namespace Vmm.Pci.Access;

/// <summary>No free range of device addresses is long enough (DRV-8).</summary>
public sealed class IovaExhaustedException : Exception
{
    /// <summary>Says what was asked for.</summary>
    /// <param name="length">Bytes asked for.</param>
    /// <param name="alignment">Alignment asked for, in bytes.</param>
    public IovaExhaustedException(ulong length, ulong alignment)
        : base($"no free IOVA range has 0x{length:x} bytes at an alignment of 0x{alignment:x}")
    {
        Length = length;
        Alignment = alignment;
    }

    /// <summary>Bytes asked for.</summary>
    public ulong Length { get; }

    /// <summary>Alignment asked for, in bytes.</summary>
    public ulong Alignment { get; }
}
