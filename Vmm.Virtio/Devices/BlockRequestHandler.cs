using System;
using System.Buffers.Binary;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves one request queue of a block device (virtio 1.2, 5.2.6).</summary>
/// <remarks>
/// A request is one step of the back-end or several: the ranges of a discard one after the other, and a flush behind what was written where the
/// cache writes through. Its answer is written on the worker when the last has ended. Where the back-end has a path of its own for the queue, the
/// worker begins and ends requests there, also after the queue was taken away, until the last has ended.
/// </remarks>
internal sealed class BlockRequestHandler : RequestHandler
{
    internal const int HeaderSize = 16;
    private const int IdentifierSize = 20;

    private readonly BlockDevice _device;
    private readonly IBlockBackend _backend;
    private readonly RateLimiter? _limiter;
    private Path? _path;

    public BlockRequestHandler(BlockDevice device, Virtqueue queue)
        : base(queue, signalEvery: 8)
    {
        _device = device;
        _backend = device.Backend;
        _limiter = device.Limiter;
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

    /// <summary>A step of a request has ended. From any thread.</summary>
    internal void EndStep(DescriptorChain chain) => Complete(chain, 0);

    /// <summary>A step of a request has ended, and the worker fetches it.</summary>
    internal void EndStepHere(DescriptorChain chain) => CompleteHere(chain, 0);

    protected override void OnStart()
    {
        if (_backend.OpenQueue(Queue.Size) is { } queue)
        {
            try
            {
                _path = new Path(queue, WatchBeyondStop(queue.Descriptor, OnReadable));
            }
            catch
            {
                queue.Dispose();
                throw;
            }
        }
    }

    protected override void OnStop() => Interlocked.Exchange(ref _path, null)?.Close();

    protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
    {
        written = 0;
        if (chain.WritableLength == 0)
        {
            Queue.MarkBroken("a block request without a byte for its status");
            return RequestOutcome.Done;
        }

        var request = (BlockRequest)(chain.State ??= new BlockRequest(this, chain));
        if (!IsContinued)
        {
            request.Reset();
            if (Execute(request, chain.Readable, Data(chain)) is not { } status)
            {
                // What has to wait for its turn is in the ring until then: nothing of it is in flight, and a stop has nothing to wait for.
                return _limiter is null || MayBegin(request) ? RequestOutcome.Pending : RequestOutcome.Later;
            }

            request.Status = status;
        }

        return Answer(request, chain, ref written);
    }

    protected override void Submit(DescriptorChain chain)
    {
        var request = (BlockRequest)chain.State!;
        if (_path is { } path)
        {
            path.Queue.Submit(request);
        }
        else
        {
            _backend.Submit(request);
        }
    }

    protected override void Commit()
    {
        if (_path is { } path)
        {
            path.Queue.Commit();
            Reap(path.Queue);
        }
    }

    private protected override void OnTakenAway()
    {
        // Whoever has the path by itself closes it: the thread that stops an idle queue, or the worker.
        if (Interlocked.Exchange(ref _path, null) is { } path)
        {
            path.Queue.Cancel();
            Reap(path.Queue);
            if (path.Queue.IsIdle)
            {
                path.Close();
            }
            else
            {
                _path = path;
            }
        }

        base.OnTakenAway();
    }

    protected override RequestOutcome Finish(DescriptorChain chain, ref uint written)
    {
        var request = (BlockRequest)chain.State!;
        if (request.IsGivenBack)
        {
            return RequestOutcome.Later;
        }

        if (request.Status == BlockStatus.Ok && request.Offset + request.Length > _device.Capacity)
        {
            // The disk was cut under it: what it has written there is not kept, and may have made the file longer again.
            request.Status = BlockStatus.IoError;
            _device.CutAgain();
        }

        // Counted once; what remains may take several calls.
        if (request.Filled == 0 && request.Status == BlockStatus.IoError)
        {
            _device.ReportFailure(request.Operation);
        }

        if (request.Status == BlockStatus.Ok)
        {
            if (HasNextStep(request))
            {
                return RequestOutcome.Pending;
            }

            if (request.Operation == BlockOperation.Read)
            {
                request.Filled = request.Length;
            }
        }

        return Answer(request, chain, ref written);
    }

    /// <summary>Whether a request is within the limit, which it counts against then. A flush is in no one's way.</summary>
    private bool MayBegin(BlockRequest request) =>
        request.Operation == BlockOperation.Flush || _limiter!.TryTake(LimitedLength(request));

    /// <summary>Bytes that count: zeroes do, since a file system may have to write them.</summary>
    private static long LimitedLength(BlockRequest request)
    {
        if (request.Operation != BlockOperation.WriteZeroes)
        {
            return request.Moves is null ? 0 : request.MovedLength;
        }

        long sectors = 0;
        foreach (ref readonly BlockRequest.RangeSegment range in request.Ranges.AsSpan(0, request.RangeCount))
        {
            sectors += range.SectorCount;
        }

        return sectors * BlockDevice.SectorSize;
    }

    private static GuestBuffers Data(DescriptorChain chain) => chain.Writable.Slice(0, chain.WritableLength - 1);

    /// <summary>
    /// Writes the status, which is the last byte; what comes before it and is not filled by the request is cleared, so that the used length is true.
    /// </summary>
    private RequestOutcome Answer(BlockRequest request, DescriptorChain chain, ref uint written)
    {
        GuestBuffers data = Data(chain);
        if (request.Filled < data.Length && !ClearPart(data, ref request.Filled))
        {
            return RequestOutcome.Continue;
        }

        chain.Writable.Slice(data.Length).Fill((byte)request.Status);
        written = WholeLength(chain);
        if (request is { Moves: { } operation, Status: BlockStatus.Ok })
        {
            _device.CountMoved(Queue.Index, operation, request.MovedLength);
        }

        return RequestOutcome.Done;
    }

    /// <summary>Looks at a request and sets its first step.</summary>
    /// <returns>Its status, or null if the back-end is to be asked.</returns>
    private BlockStatus? Execute(BlockRequest request, GuestBuffers readable, GuestBuffers destination)
    {
        Span<byte> header = stackalloc byte[HeaderSize];
        if (readable.CopyTo(header) != HeaderSize)
        {
            return BlockStatus.IoError;
        }

        ulong sector = BinaryPrimitives.ReadUInt64LittleEndian(header[8..]);
        ulong sectors = (ulong)_device.Capacity / BlockDevice.SectorSize;
        GuestBuffers source = readable.Slice(HeaderSize);
        switch ((RequestType)BinaryPrimitives.ReadUInt32LittleEndian(header))
        {
            case RequestType.In:
                return Move(request, BlockOperation.Read, sectors, sector, destination.Length);
            case RequestType.Out when _backend.IsReadOnly:
                return BlockStatus.IoError;
            case RequestType.Out:
                return Move(request, BlockOperation.Write, sectors, sector, source.Length);
            case RequestType.Flush:
                request.Set(BlockOperation.Flush, 0, 0);
                request.IsLastStep = true;
                return null;
            case RequestType.GetId:
                request.Filled = destination.CopyFrom(_device.Identifier);
                return destination.Length < IdentifierSize ? BlockStatus.IoError : BlockStatus.Ok;
            case RequestType.Discard when (_device.Features & BlockFeatures.Discard) != 0:
                return ChangeRanges(request, sectors, source, BlockOperation.Discard);
            case RequestType.WriteZeroes when (_device.Features & BlockFeatures.WriteZeroes) != 0:
                return ChangeRanges(request, sectors, source, BlockOperation.WriteZeroes);
            case RequestType.Discard or RequestType.WriteZeroes when _backend.IsReadOnly:
                return BlockStatus.IoError;
            default:
                return BlockStatus.Unsupported;
        }
    }

    private static BlockStatus? Move(BlockRequest request, BlockOperation operation, ulong sectors, ulong sector, long length)
    {
        if (!IsInside(sectors, sector, length))
        {
            return BlockStatus.IoError;
        }

        request.Set(operation, (long)sector * BlockDevice.SectorSize, length);
        (request.Moves, request.MovedLength) = (operation, length);
        return length == 0 ? BlockStatus.Ok : null;
    }

    private BlockStatus? ChangeRanges(BlockRequest request, ulong sectors, GuestBuffers source, BlockOperation operation)
    {
        if (_backend.IsReadOnly)
        {
            return BlockStatus.IoError;
        }

        BlockRequest.RangeSegment[] ranges = request.Ranges ??= new BlockRequest.RangeSegment[BlockDevice.MaximumRangeSegments];
        Span<byte> bytes = MemoryMarshal.AsBytes(ranges.AsSpan());
        int size = bytes.Length / ranges.Length;
        if (source.IsEmpty || source.Length % size != 0 || source.Length > bytes.Length)
        {
            return BlockStatus.IoError;
        }

        request.RangeCount = source.CopyTo(bytes) / size;
        foreach (ref readonly BlockRequest.RangeSegment range in ranges.AsSpan(0, request.RangeCount))
        {
            if ((range.Flags & ~BlockRequest.RangeSegment.Unmap) != 0 || (operation == BlockOperation.Discard && range.Flags != 0))
            {
                return BlockStatus.Unsupported;
            }

            if (range.SectorCount > BlockDevice.MaximumRangeSectors
                || !IsInside(sectors, range.Sector, (long)range.SectorCount * BlockDevice.SectorSize))
            {
                return BlockStatus.IoError;
            }
        }

        request.Set(operation, 0, 0);
        return HasNextStep(request) ? null : BlockStatus.Ok;
    }

    /// <summary>Sets the next step of a request whose steps so far went well.</summary>
    /// <returns>False if there is none.</returns>
    private bool HasNextStep(BlockRequest request)
    {
        while (request.RangeIndex < request.RangeCount)
        {
            ref readonly BlockRequest.RangeSegment range = ref request.Ranges![request.RangeIndex++];
            if (range.SectorCount != 0)
            {
                request.Set(
                    request.Operation,
                    (long)range.Sector * BlockDevice.SectorSize,
                    (long)range.SectorCount * BlockDevice.SectorSize,
                    (range.Flags & BlockRequest.RangeSegment.Unmap) != 0);
                return true;
            }
        }

        if (request.IsLastStep || _device.IsWriteBack || request.Operation is not (BlockOperation.Write or BlockOperation.WriteZeroes))
        {
            return false;
        }

        request.IsLastStep = true;
        request.Set(BlockOperation.Flush, 0, 0);
        return true;
    }

    private static void Reap(IBlockQueue queue)
    {
        while (queue.TryReap(out BlockRequest? request, out BlockStatus status))
        {
            request.CompleteHere(status);
        }
    }

    private void OnReadable()
    {
        Run();
        if (IsClosed)
        {
            OnTakenAway();
        }
    }

    private static bool IsInside(ulong sectors, ulong sector, long length)
    {
        return length % BlockDevice.SectorSize == 0
            && sector <= sectors
            && (ulong)(length / BlockDevice.SectorSize) <= sectors - sector;
    }

    /// <summary>The back-end's path for the queue, with the watch that tells of ends.</summary>
    private sealed class Path(IBlockQueue queue, IWatch watch)
    {
        public IBlockQueue Queue => queue;

        public void Close()
        {
            watch.Dispose();
            queue.Dispose();
        }
    }
}
