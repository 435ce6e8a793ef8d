using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves one request queue of a block device (virtio 1.2, 5.2.6).</summary>
internal sealed class BlockRequestServer : RequestServer
{
    private const int HeaderSize = 16;
    private const int IdentifierSize = 20;

    private readonly BlockDevice _device;
    private readonly IBlockBackend _backend;
    private readonly ulong _sectors;

    public BlockRequestServer(BlockDevice device, Virtqueue queue, EventFd kick, IVirtioDeviceHost host)
        : base(queue, kick, host, signalEvery: 8)
    {
        _device = device;
        _backend = device.Backend;
        _sectors = (ulong)_backend.Length / BlockDevice.SectorSize;
    }

    private enum RequestType : uint
    {
        In = 0,
        Out = 1,
        Flush = 4,
        GetId = 8,
        Discard = 11,
        WriteZeroes = 13,
    }

    protected override bool HandleUnlessItMustWait(DescriptorChain chain, out uint written)
    {
        GuestBuffers writable = chain.Writable;
        if (writable.IsEmpty)
        {
            Queue.MarkBroken("a block request without a byte for its status");
            written = 0;
            return true;
        }

        // The status is the last byte; what comes before it and is not filled by the request is cleared, so that the used length is true.
        GuestBuffers data = writable.Slice(0, writable.Length - 1);
        Span<byte> header = stackalloc byte[HeaderSize];
        long filled = 0;
        BlockStatus status = BlockStatus.IoError;
        if (chain.Readable.CopyTo(header) == HeaderSize)
        {
            var type = (RequestType)BinaryPrimitives.ReadUInt32LittleEndian(header);
            ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
            status = Execute(type, sector, chain.Readable.Slice(HeaderSize), data, out filled);
        }

        if (filled < data.Length)
        {
            data.Slice(filled).Fill(0);
        }

        writable.Slice(writable.Length - 1).Fill((byte)status);
        written = (uint)writable.Length;
        return true;
    }

    private BlockStatus Execute(RequestType type, ulong sector, GuestBuffers source, GuestBuffers destination, out long filled)
    {
        filled = 0;
        switch (type)
        {
            case RequestType.In:
                BlockStatus status = Read(sector, destination);
                filled = status == BlockStatus.Ok ? destination.Length : 0;
                return status;
            case RequestType.Out:
                return Write(sector, source);
            case RequestType.Flush:
                return Report(_backend.Flush(), "flush");
            case RequestType.GetId:
                filled = destination.CopyFrom(_device.Identifier);
                return destination.Length < IdentifierSize ? BlockStatus.IoError : BlockStatus.Ok;
            case RequestType.Discard when (_device.Features & BlockFeatures.Discard) != 0:
                return ChangeRanges(source, discard: true);
            case RequestType.WriteZeroes when (_device.Features & BlockFeatures.WriteZeroes) != 0:
                return ChangeRanges(source, discard: false);
            case RequestType.Discard or RequestType.WriteZeroes when _backend.IsReadOnly:
                return BlockStatus.IoError;
            default:
                return BlockStatus.Unsupported;
        }
    }

    private BlockStatus Read(ulong sector, GuestBuffers destination)
    {
        return IsInside(sector, destination.Length)
            ? Report(_backend.Read((long)sector * BlockDevice.SectorSize, destination), "read")
            : BlockStatus.IoError;
    }

    private BlockStatus Write(ulong sector, GuestBuffers source)
    {
        if (_backend.IsReadOnly || !IsInside(sector, source.Length))
        {
            return BlockStatus.IoError;
        }

        BlockStatus status = Report(_backend.Write((long)sector * BlockDevice.SectorSize, source), "write");
        return status == BlockStatus.Ok ? WriteThrough() : status;
    }

    private BlockStatus ChangeRanges(GuestBuffers source, bool discard)
    {
        if (_backend.IsReadOnly)
        {
            return BlockStatus.IoError;
        }

        Span<RangeSegment> segments = stackalloc RangeSegment[BlockDevice.MaximumRangeSegments];
        Span<byte> bytes = MemoryMarshal.AsBytes(segments);
        int size = bytes.Length / segments.Length;
        if (source.IsEmpty || source.Length % size != 0 || source.Length > bytes.Length)
        {
            return BlockStatus.IoError;
        }

        segments = segments[..(source.CopyTo(bytes) / size)];
        foreach (ref readonly RangeSegment segment in segments)
        {
            if ((segment.Flags & ~RangeSegment.Unmap) != 0 || (discard && segment.Flags != 0))
            {
                return BlockStatus.Unsupported;
            }

            if (segment.SectorCount > BlockDevice.MaximumRangeSectors
                || !IsInside(segment.Sector, (long)segment.SectorCount * BlockDevice.SectorSize))
            {
                return BlockStatus.IoError;
            }
        }

        foreach (ref readonly RangeSegment segment in segments)
        {
            long offset = (long)segment.Sector * BlockDevice.SectorSize;
            long length = (long)segment.SectorCount * BlockDevice.SectorSize;
            BlockStatus status = length == 0
                ? BlockStatus.Ok
                : discard
                    ? Report(_backend.Discard(offset, length), "discard")
                    : Report(_backend.WriteZeroes(offset, length, (segment.Flags & RangeSegment.Unmap) != 0), "write-zeroes");
            if (status != BlockStatus.Ok)
            {
                return status;
            }
        }

        return discard ? BlockStatus.Ok : WriteThrough();
    }

    private BlockStatus WriteThrough()
    {
        return _device.IsWriteBack ? BlockStatus.Ok : Report(_backend.Flush(), "flush");
    }

    private bool IsInside(ulong sector, long length)
    {
        return length % BlockDevice.SectorSize == 0
            && sector <= _sectors
            && (ulong)(length / BlockDevice.SectorSize) <= _sectors - sector;
    }

    private BlockStatus Report(BlockStatus status, string request)
    {
        if (status == BlockStatus.IoError)
        {
            _device.ReportFailure(request);
        }

        return status;
    }

    /// <summary>struct virtio_blk_discard_write_zeroes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct RangeSegment
    {
        public const uint Unmap = 1;

        public ulong Sector;
        public uint SectorCount;
        public uint Flags;
    }
}
