using System;
using System.Buffers.Binary;
using System.Globalization;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>Says where one virtio structure lies (<c>struct virtio_pci_cap</c>, virtio 1.2, 4.1.4).</summary>
public class VirtioStructureCapability : VendorSpecificCapability
{
    /// <summary>Offset of <c>bar</c> in the capability.</summary>
    protected const int BarOffset = 4;

    /// <summary>Offset of <c>id</c> in the capability.</summary>
    protected const int IdOffset = 5;

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
        Bar = bar;
        StructureOffset = offset;
        StructureLength = length;
    }

    /// <summary>Describes a shared memory region, with 64-bit offset and length (<c>struct virtio_pci_cap64</c>, 4.1.4.7).</summary>
    /// <param name="id">The region's id.</param>
    /// <param name="bar">Index of its BAR.</param>
    /// <param name="offset">Its offset there, in bytes.</param>
    /// <param name="length">Its length, in bytes.</param>
    public VirtioStructureCapability(byte id, int bar, ulong offset, ulong length)
        : base(BodyOf(VirtioPciCapabilityType.SharedMemory, bar, (uint)offset, (uint)length, UpperHalves(offset, length), id))
    {
        Type = VirtioPciCapabilityType.SharedMemory;
        RegionId = id;
        Bar = bar;
        StructureOffset = offset;
        StructureLength = length;
    }

    /// <summary>Describes a structure that the driver writes to.</summary>
    /// <param name="type">Which structure.</param>
    /// <param name="writable">The writable bits after the length byte, as many as the capability has bytes there.</param>
    protected VirtioStructureCapability(VirtioPciCapabilityType type, ReadOnlySpan<byte> writable)
        : base(BodyOf(type, 0, 0, 0, stackalloc byte[BodyOffset + writable.Length - ExtraOffset]), writable)
    {
        Type = type;
    }

    /// <inheritdoc/>
    public override string Description => StructureLength == 0
        ? "virtio " + StructureName
        : string.Create(CultureInfo.InvariantCulture, $"virtio {StructureName}: BAR {Bar} at 0x{StructureOffset:x}, 0x{StructureLength:x} bytes");

    private string StructureName => Type switch
    {
        VirtioPciCapabilityType.CommonConfiguration => "common configuration",
        VirtioPciCapabilityType.Notification => "notifications",
        VirtioPciCapabilityType.Isr => "ISR status",
        VirtioPciCapabilityType.DeviceConfiguration => "device configuration",
        VirtioPciCapabilityType.SharedMemory => string.Create(CultureInfo.InvariantCulture, $"shared memory {RegionId}"),
        VirtioPciCapabilityType.PciConfigurationAccess => "configuration window",
        _ => Type.ToString(),
    };

    /// <summary>Which structure it is.</summary>
    public VirtioPciCapabilityType Type { get; }

    /// <summary>The id of a shared memory region; 0 for others.</summary>
    public byte RegionId { get; }

    /// <summary>Index of the BAR that the structure lies in.</summary>
    public int Bar { get; }

    /// <summary>Offset of the structure in its BAR; 0 for the configuration window, which is aimed by the driver.</summary>
    public ulong StructureOffset { get; }

    /// <summary>Bytes of the structure; 0 for the configuration window.</summary>
    public ulong StructureLength { get; }

    private static byte[] UpperHalves(ulong offset, ulong length)
    {
        byte[] halves = new byte[VirtioPciIds.Capability64Length - ExtraOffset];
        BinaryPrimitives.WriteUInt32LittleEndian(halves, (uint)(offset >> 32));
        BinaryPrimitives.WriteUInt32LittleEndian(halves.AsSpan(4), (uint)(length >> 32));
        return halves;
    }

    private static byte[] BodyOf(VirtioPciCapabilityType type, int bar, uint offset, uint length, ReadOnlySpan<byte> extra, byte id = 0)
    {
        byte[] body = new byte[ExtraOffset - BodyOffset + extra.Length];
        body[0] = (byte)type;
        body[BarOffset - BodyOffset] = (byte)bar;
        body[IdOffset - BodyOffset] = id;
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(OffsetOffset - BodyOffset), offset);
        BinaryPrimitives.WriteUInt32LittleEndian(body.AsSpan(LengthOffset - BodyOffset), length);
        extra.CopyTo(body.AsSpan(ExtraOffset - BodyOffset));
        return body;
    }
}
