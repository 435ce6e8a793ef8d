using System;

namespace Vmm.Virtio.Devices;

/// <summary>The header before each packet (virtio 1.2, 5.1.6), as far as it says what the receiver still has to do.</summary>
internal static class NetHeader
{
    /// <summary>Bytes of the header.</summary>
    public const int Size = 12;

    /// <summary>Offset of num_buffers.</summary>
    public const int BufferCountOffset = 10;

    /// <summary>VIRTIO_NET_HDR_F_NEEDS_CSUM: the checksum is partial.</summary>
    public const byte NeedsChecksum = 1;

    /// <summary>VIRTIO_NET_HDR_F_DATA_VALID: the checksum was verified.</summary>
    public const byte DataValid = 2;

    private const int FlagsOffset = 0;
    private const int SegmentationOffset = 1;
    private const byte SegmentTcp4 = 1;
    private const byte SegmentTcp6 = 4;
    private const byte SegmentEcn = 0x80;

    /// <summary>Whether the packet is to be cut into smaller ones.</summary>
    public static bool IsSegmented(ReadOnlySpan<byte> header) => (header[SegmentationOffset] & ~SegmentEcn) != 0;

    /// <summary>Makes a header keep to what was negotiated (5.1.6.2.2, 5.1.6.4.1): clears flags that mean nothing to the receiver.</summary>
    /// <param name="header">The header, changed in place.</param>
    /// <param name="offloads">What the receiver does by itself.</param>
    /// <param name="flags">Flags that may be set if that includes checksums.</param>
    /// <returns>False if the packet needs more than that, and so cannot be passed on.</returns>
    public static bool TryConform(Span<byte> header, NetOffloads offloads, byte flags)
    {
        byte segmentation = header[SegmentationOffset];
        NetOffloads needed = (segmentation & SegmentEcn) != 0 ? NetOffloads.TsoEcn : NetOffloads.None;
        needed |= (header[FlagsOffset] & NeedsChecksum) != 0 ? NetOffloads.Checksum : NetOffloads.None;
        switch (segmentation & ~SegmentEcn)
        {
            case 0:
                break;
            case SegmentTcp4:
                needed |= NetOffloads.Tso4;
                break;
            case SegmentTcp6:
                needed |= NetOffloads.Tso6;
                break;
            default:
                return false;
        }

        header[FlagsOffset] &= (offloads & NetOffloads.Checksum) != 0 ? flags : (byte)0;
        return (needed & ~offloads) == 0;
    }
}
