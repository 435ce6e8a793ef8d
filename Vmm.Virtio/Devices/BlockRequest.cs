using System;
using System.Runtime.InteropServices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A request to an <see cref="IBlockBackend"/>: an operation on a range of its bytes.</summary>
/// <remarks>
/// Belongs to the back-end from <see cref="IBlockBackend.Submit"/> to <see cref="Complete"/>, and is used again for another after that. Until then
/// the guest memory of its buffers stays where it is, whatever becomes of the queue, the device and the guest.
/// </remarks>
public sealed class BlockRequest
{
    private readonly BlockRequestHandler? _handler;
    private readonly DescriptorChain? _chain;
    private readonly Action? _onEnded;

    internal BlockRequest(BlockRequestHandler handler, DescriptorChain chain)
    {
        _handler = handler;
        _chain = chain;
    }

    /// <summary>A flush that no queue asks for.</summary>
    /// <param name="onEnded">Told of its end, on the back-end's thread.</param>
    internal BlockRequest(Action onEnded)
    {
        Operation = BlockOperation.Flush;
        _onEnded = onEnded;
    }

    /// <summary>The operation.</summary>
    public BlockOperation Operation { get; private set; }

    /// <summary>First byte of the range, a multiple of 512; 0 for a flush.</summary>
    public long Offset { get; private set; }

    /// <summary>Bytes of the range, a multiple of 512 and at least that; 0 for a flush.</summary>
    public long Length { get; private set; }

    /// <summary>Whether the storage of zeroes that are written may be given back.</summary>
    public bool MayUnmap { get; private set; }

    /// <summary>Guest memory of <see cref="Length"/> bytes: what is written, or where to read to; empty for the other operations.</summary>
    public GuestBuffers Buffers => Operation switch
    {
        BlockOperation.Read => _chain!.Writable.Slice(0, Length),
        BlockOperation.Write => _chain!.Readable.Slice(BlockRequestHandler.HeaderSize, Length),
        _ => default,
    };

    /// <summary>
    /// True once the queue is being stopped: nobody will hear of the result. What is quick to end may be ended early, with any status; it has to be
    /// ended by <see cref="Complete"/> either way. May turn true at any time.
    /// </summary>
    public bool IsCancelled => _handler is { IsStopping: true };

    /// <summary>Status of the request so far.</summary>
    internal BlockStatus Status { get; set; }

    /// <summary>A stop has cut it short: it is to be done from its beginning another time.</summary>
    internal bool IsGivenBack { get; private set; }

    /// <summary>Bytes of the chain's writable part that hold something, or have been cleared.</summary>
    internal long Filled;

    /// <summary>Read or write where the driver asked for one, whatever step is under way; null for another request.</summary>
    internal BlockOperation? Moves { get; set; }

    /// <summary>Bytes that the driver asked to have read or written.</summary>
    internal long MovedLength { get; set; }

    /// <summary>The last step is under way: a flush behind what was written, where nothing may stay volatile.</summary>
    internal bool IsLastStep { get; set; }

    /// <summary>The ranges of a discard or of zeroes, copied once (MEM-3), and how many; the array is made when it is needed first.</summary>
    internal RangeSegment[]? Ranges { get; set; }

    internal int RangeCount { get; set; }

    /// <summary>The range that is under way.</summary>
    internal int RangeIndex { get; set; }

    /// <summary>Ends the request, once; from any thread.</summary>
    /// <param name="status">How it went.</param>
    /// <exception cref="InvalidOperationException">It is not in flight.</exception>
    public void Complete(BlockStatus status)
    {
        Status = status;
        _handler?.EndStep(_chain!);
        _onEnded?.Invoke();
    }

    /// <summary>Ends it on the worker of its queue, while that fetches what has ended.</summary>
    internal void CompleteHere(BlockStatus status)
    {
        Status = status;
        _handler!.EndStepHere(_chain!);
    }

    /// <summary>Ends it with nothing said: it was cut short because its queue stops. Inside <see cref="IBlockBackend.Submit"/> alone.</summary>
    internal void GiveBack()
    {
        IsGivenBack = true;
        _handler!.EndStep(_chain!);
    }

    /// <summary>Begins a request of a driver.</summary>
    internal void Reset()
    {
        Status = BlockStatus.Ok;
        IsGivenBack = false;
        IsLastStep = false;
        Moves = null;
        Filled = 0;
        RangeCount = 0;
        RangeIndex = 0;
    }

    /// <summary>Sets what its next step asks for.</summary>
    internal void Set(BlockOperation operation, long offset, long length, bool mayUnmap = false)
    {
        Operation = operation;
        Offset = offset;
        Length = length;
        MayUnmap = mayUnmap;
    }

    /// <summary>struct virtio_blk_discard_write_zeroes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct RangeSegment
    {
        public const uint Unmap = 1;

        public ulong Sector;
        public uint SectorCount;
        public uint Flags;
    }
}
