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

    // Bytes of a disk that one call of the back-end changes: a stop waits for one.
    private const long DiscardAtOnce = 64 << 20;
    private const long ZeroesAtOnce = 16 << 20;

    private readonly BlockDevice _device;
    private readonly IBlockBackend _backend;
    private readonly ulong _sectors;

    // How far the request in hand has got: its status once that is known, bytes done, bytes of its writable part that hold something.
    private BlockStatus? _status;
    private long _position;
    private long _filled;

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

    protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
    {
        GuestBuffers writable = chain.Writable;
        written = 0;
        if (writable.IsEmpty)
        {
            Queue.MarkBroken("a block request without a byte for its status");
            return RequestOutcome.Done;
        }

        if (!IsContinued)
        {
            _status = null;
            _position = 0;
            _filled = 0;
        }

        // The status is the last byte; what comes before it and is not filled by the request is cleared, so that the used length is true.
        GuestBuffers data = writable.Slice(0, writable.Length - 1);
        if (_status is null)
        {
            _status = Execute(chain.Readable, data);
            if (_status is null)
            {
                return RequestOutcome.Continue;
            }
        }

        if (_filled < data.Length && !ClearPart(data, ref _filled))
        {
            return RequestOutcome.Continue;
        }

        writable.Slice(writable.Length - 1).Fill((byte)_status.Value);
        written = WholeLength(chain);
        return RequestOutcome.Done;
    }

    /// <summary>Does the next part of a request.</summary>
    /// <returns>Its status, or null if there are more parts.</returns>
    private BlockStatus? Execute(GuestBuffers readable, GuestBuffers destination)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        if (readable.CopyTo(header) != HeaderSize)
        {
            return BlockStatus.IoError;
        }

        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        GuestBuffers source = readable.Slice(HeaderSize);
        switch ((RequestType)BinaryPrimitives.ReadUInt32LittleEndian(header))
        {
            case RequestType.In:
                return Read(sector, destination);
            case RequestType.Out:
                return Write(sector, source);
            case RequestType.Flush:
                return Report(_backend.Flush(), "flush");
            case RequestType.GetId:
                _filled = destination.CopyFrom(_device.Identifier);
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

    private BlockStatus? Read(ulong sector, GuestBuffers destination)
    {
        if (!IsInside(sector, destination.Length))
        {
            return BlockStatus.IoError;
        }

        if (TakePart(destination, out GuestBuffers part))
        {
            BlockStatus status = Report(_backend.Read(((long)sector * BlockDevice.SectorSize) + _position, part), "read");
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            _position += part.Length;
            _filled = _position;
        }

        return _position < destination.Length ? null : BlockStatus.Ok;
    }

    private BlockStatus? Write(ulong sector, GuestBuffers source)
    {
        if (_backend.IsReadOnly || !IsInside(sector, source.Length))
        {
            return BlockStatus.IoError;
        }

        if (TakePart(source, out GuestBuffers part))
        {
            BlockStatus status = Report(_backend.Write(((long)sector * BlockDevice.SectorSize) + _position, part), "write");
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            _position += part.Length;
        }

        return _position < source.Length ? null : WriteThrough();
    }

    /// <summary>The part of a request's data that is next.</summary>
    private bool TakePart(GuestBuffers data, out GuestBuffers part)
    {
        long length = Math.Clamp(data.Length - _position, 0, PartLength);
        part = length > 0 ? data.Slice(_position, length) : default;
        return length > 0;
    }

    private BlockStatus? ChangeRanges(GuestBuffers source, bool discard)
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

        // What was done before is counted over all ranges.
        long done = _position;
        foreach (ref readonly RangeSegment segment in segments)
        {
            long length = (long)segment.SectorCount * BlockDevice.SectorSize;
            if (done >= length)
            {
                done -= length;
                continue;
            }

            long offset = ((long)segment.Sector * BlockDevice.SectorSize) + done;
            long part = Math.Min(length - done, discard ? DiscardAtOnce : ZeroesAtOnce);
            BlockStatus status = discard
                ? Report(_backend.Discard(offset, part), "discard")
                : Report(_backend.WriteZeroes(offset, part, (segment.Flags & RangeSegment.Unmap) != 0), "write-zeroes");
            if (status != BlockStatus.Ok)
            {
                return status;
            }

            _position += part;
            return null;
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
