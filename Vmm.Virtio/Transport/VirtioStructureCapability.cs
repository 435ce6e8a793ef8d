using System;
using System.Buffers.Binary;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>Says where one virtio structure lies (<c>struct virtio_pci_cap</c>, virtio 1.2, 4.1.4).</summary>
public class VirtioStructureCapability : VendorSpecificCapability
{
    /// <summary>Offset of <c>bar</c> in the capability.</summary>
    protected const int BarOffset = 4;

    /// <summary>Offset of <c>offset</c> in the capability.</summary>
    protected const int OffsetOffset = 8;

    /// <summary>Offset of <c>length</c> in the capability.</summary>
    protected const int LengthOffset = 12;

    /// <summary>Offset of what follows <c>struct virtio_pci_cap</c>.</summary>
    protected const int ExtraOffset = VirtioPciIds.CapabilityLength;

    /// <summary>Describes a structure.</summary>
    /// <param name="type">Which structure.</param>
    /// <param name="bar">Index of its BAR.</param>
    /// <param name="offset">Its offset there, in bytes.</param>
    /// <param name="length">Its length, in bytes.</param>
    /// <param name="extra">What follows: the notify multiplier of a notification capability.</param>
    public VirtioStructureCapability(VirtioPciCapabilityType type, int bar, uint offset, uint length, ReadOnlySpan<byte> extra = default)
        : base(BodyOf(type, bar, offset, length, extra))
    {
        Type = type;
    }

    /// <summary>Describes a structure that the driver writes to.</summary>
    /// <param name="type">Which structure.</param>
    /// <param name="writable">The writable bits after the length byte, as many as the capability has bytes there.</param>
    protected VirtioStructureCapability(VirtioPciCapabilityType type, ReadOnlySpan<byte> writable)
        : base(BodyOf(type, 0, 0, 0, stackalloc byte[BodyOffset + writable.Length - ExtraOffset]), writable)
    {
        Type = type;
    }

    /// <summary>Which structure it is.</summary>
    public VirtioPciCapabilityType Type { get; }

    private static byte[] BodyOf(VirtioPciCapabilityType type, int bar, uint offset, uint length, ReadOnlySpan<byte> extra)
    {
        byte[] body = new byte[ExtraOffset - BodyOffset + extra.Length];
        body[0] = (byte)type;
        body[BarOffset - BodyOffset] = (byte)bar;
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(OffsetOffset - BodyOffset), offset);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(LengthOffset - BodyOffset), length);
        extra.CopyTo(body.AsSpan(ExtraOffset - BodyOffset));
        return body;
    }
}
