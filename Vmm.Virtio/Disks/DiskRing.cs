using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Disks;

/// <summary>The requests of one queue to a file, by an io_uring of their own.</summary>
/// <remarks>
/// <para>
/// Requests that are submitted together begin with one system call, and end in any order. A read that is alone is tried without waiting first: a ring
/// makes a cached one dearer. On a file system in memory, where reads and writes cannot be asked not to wait and the kernel would give each to a
/// thread, all that are not long are done at once.
/// </para>
/// <para>
/// A request takes one operation at a time: what comes back in part is gone on with, and so is what is too long or in too many pieces. Descriptions
/// of memory last until the kernel has taken an operation over, which is what it needs them for (IORING_FEAT_SUBMIT_STABLE).
/// </para>
/// </remarks>
internal sealed unsafe partial class DiskRing : IBlockQueue
{
    // Of guest memory that O_DIRECT does not take as it is.
    private const int BounceSlots = 8;

    private const int VectorCount = 4 * DiskFile.VectorsAtOnce;
    private const ulong CancelTag = ulong.MaxValue;

    // What the kernel moves at once (MAX_RW_COUNT), in whole blocks of any size.
    private const long MovedAtOnce = 0x7ffff000;

    private readonly DiskFile _file;
    private readonly IoUring _ring;
    private readonly Action<BlockRequest> _elsewhere;
    private readonly BounceMemory? _bounce;
    private readonly MemoryPiece* _vectors;
    private readonly Operation[] _operations;
    private readonly Stack<Operation> _free;

    // Not begun for lack of room, in their order; and ended without the kernel.
    private readonly Queue<Operation> _waiting;
    private readonly Queue<Operation> _ended;

    private Operation? _alone;
    private int _vectorsUsed;
    private bool _cancelled;

    private DiskRing(DiskFile file, IoUring ring, int size, Action<BlockRequest> elsewhere)
    {
        _file = file;
        _ring = ring;
        _elsewhere = elsewhere;
        _bounce = file.IsDirect ? new BounceMemory(BounceSlots) : null;
        _vectors = (MemoryPiece*)NativeMemory.Alloc(VectorCount, (nuint)sizeof(MemoryPiece));
        _operations = new Operation[size];
        _free = new Stack<Operation>(size);
        _waiting = new Queue<Operation>(size);
        _ended = new Queue<Operation>(size);
        for (int i = size - 1; i >= 0; i--)
        {
            _operations[i] = new Operation((ulong)i);
            _free.Push(_operations[i]);
        }
    }

    public int Descriptor => _ring.Descriptor;

    public bool IsIdle => _ring.Outstanding == 0 && _free.Count == _operations.Length;

    /// <summary>Makes a ring for a queue.</summary>
    /// <param name="file">The file; stays open until the ring is disposed.</param>
    /// <param name="size">Requests in flight at most.</param>
    /// <param name="elsewhere">Does a request that the kernel has no memory for.</param>
    /// <param name="ring">The ring.</param>
    /// <returns>0, or the error number of a host that has no io_uring, or no memory for one.</returns>
    public static int TryCreate(DiskFile file, int size, Action<BlockRequest> elsewhere, out DiskRing? ring)
    {
        // A cancellation takes room beside what it cancels.
        ring = null;
        int error = IoUring.TryCreate(Math.Clamp(2 * size, 2, IoUring.MaximumEntries), out IoUring? kernel);
        if (error != 0)
        {
            return error;
        }

        try
        {
            ring = new DiskRing(file, kernel!, size, elsewhere);
        }
        catch (OutOfMemoryException)
        {
            kernel!.Dispose();
            return Errno.ENOMEM;
        }

        // A file system that is slow, and reads by waiting, has as many reads at once as with threads of our own.
        _ = kernel!.LimitThreads(Math.Min(size, RawFileBackend.ThreadLimit));
        return 0;
    }

    public void Submit(BlockRequest request)
    {
        if (_file.MovesAtOnce(request))
        {
            request.Complete(StatusOf(_file.Move(request.Operation == BlockOperation.Write, request.Offset, request.Buffers, null)));
            return;
        }

        if (!_free.TryPop(out Operation? operation))
        {
            _elsewhere(request);
            return;
        }

        operation.Begin(request);
        if (_file.KnowsCached && request.Operation == BlockOperation.Read && _free.Count == _operations.Length - 1)
        {
            _alone = operation;
            return;
        }

        if (_alone is { } first)
        {
            _alone = null;
            Enter(first);
        }

        Enter(operation);
    }

    public void Commit()
    {
        if (_alone is { } operation)
        {
            _alone = null;
            if (TryCached(operation))
            {
                return;
            }

            Enter(operation);
        }

        bool started;
        do
        {
            WriteWaiting();
            started = _ring.HasUnsubmitted;
            Start();
        }
        while (started && _waiting.Count > 0);
    }

    public bool TryReap([NotNullWhen(true)] out BlockRequest? request, out BlockStatus status)
    {
        while (true)
        {
            if (_ended.TryDequeue(out Operation? operation) || TryTakeEnd(out operation))
            {
                (request, status) = (operation.Request!, operation.Status);
                operation.Request = null;
                _free.Push(operation);
                return true;
            }

            // Those that ended in part, and those that waited for what has ended now.
            if (_ring.HasUnsubmitted || WriteWaiting())
            {
                Commit();
                if (_ended.Count > 0 || _ring.HasCompleted)
                {
                    continue;
                }
            }

            request = null;
            status = default;
            return false;
        }
    }

    public void Cancel()
    {
        if (_cancelled)
        {
            return;
        }

        _cancelled = true;
        if (_alone is { } alone)
        {
            _alone = null;
            End(alone, BlockStatus.IoError);
        }

        while (_waiting.TryDequeue(out Operation? waiting))
        {
            End(waiting, BlockStatus.IoError);
        }

        while (_ring.TryWithdraw(out ulong tag))
        {
            Release(_operations[tag]);
            End(_operations[tag], BlockStatus.IoError);
        }

        foreach (Operation operation in _operations)
        {
            if (operation.IsInKernel && _ring.TryAdd(out Libc.io_uring_sqe* entry))
            {
                entry->opcode = Libc.IORING_OP_ASYNC_CANCEL;
                entry->fd = -1;
                entry->addr = operation.Tag;
                entry->user_data = CancelTag;
            }
        }

        // What cannot be cancelled for lack of memory ends by itself.
        if (_ring.Submit() != 0)
        {
            while (_ring.TryWithdraw(out _))
            {
            }
        }
    }

    public void Dispose()
    {
        if (!IsIdle)
        {
            throw new InvalidOperationException("a ring is closed under its operations");
        }

        _ring.Dispose();
        _bounce?.Dispose();
        NativeMemory.Free(_vectors);
    }

    private static BlockStatus StatusOf(int error) => error == 0 ? BlockStatus.Ok : BlockStatus.IoError;

    /// <summary>Writes an operation into the ring, or has it wait behind the others.</summary>
    private void Enter(Operation operation)
    {
        if (_waiting.Count > 0 || !TryWrite(operation))
        {
            _waiting.Enqueue(operation);
        }
    }

    /// <summary>Writes those into the ring that wait and have room now.</summary>
    /// <returns>False if there is none.</returns>
    private bool WriteWaiting()
    {
        bool any = false;
        while (_waiting.TryPeek(out Operation? waiting) && TryWrite(waiting))
        {
            _waiting.Dequeue();
            any = true;
        }

        return any;
    }

    /// <summary>Tells the kernel of what was written into the ring.</summary>
    private void Start()
    {
        if (!_ring.HasUnsubmitted)
        {
            _vectorsUsed = 0;
            return;
        }

        if (_ring.Submit() == 0)
        {
            _vectorsUsed = 0;
            return;
        }

        // For lack of memory: what the kernel has not taken over is done elsewhere.
        while (_ring.TryWithdraw(out ulong tag))
        {
            Operation operation = _operations[tag];
            BlockRequest request = operation.Request!;
            Release(operation);
            operation.Request = null;
            _free.Push(operation);
            _elsewhere(request);
        }

        _vectorsUsed = 0;
    }

    private bool TryTakeEnd([NotNullWhen(true)] out Operation? operation)
    {
        while (_ring.TryTake(out ulong tag, out int result))
        {
            if (tag == CancelTag)
            {
                continue;
            }

            operation = _operations[tag];
            bool hasEnded = HasEnded(operation, result);
            Release(operation);
            if (hasEnded)
            {
                return true;
            }

            Enter(operation);
        }

        operation = null;
        return false;
    }

    private void Release(Operation operation)
    {
        operation.IsInKernel = false;
        if (operation.Slot >= 0)
        {
            _bounce!.Give(operation.Slot);
            operation.Slot = -1;
        }
    }

    private void End(Operation operation, BlockStatus status)
    {
        operation.Status = status;
        _ended.Enqueue(operation);
    }

    /// <summary>A request that is in flight, and the operation that it has in the ring.</summary>
    private sealed class Operation(ulong tag)
    {
        public ulong Tag => tag;

        public BlockRequest? Request { get; set; }

        public BlockStatus Status { get; set; }

        /// <summary>Bytes that are done.</summary>
        public long Done { get; set; }

        /// <summary>The bounce slot that its bytes pass through, or -1.</summary>
        public int Slot { get; set; } = -1;

        /// <summary>Which way of making zeroes is under way.</summary>
        public ZeroWay Way { get; set; }

        /// <summary>A thread of the kernel is to do it, since it cannot be done at once and said so.</summary>
        public bool IsForced { get; set; }

        public bool IsInKernel { get; set; }

        public void Begin(BlockRequest request)
        {
            Request = request;
            Done = 0;
            IsForced = false;
            Way = request.MayUnmap ? ZeroWay.Punch : ZeroWay.Range;
        }
    }

    /// <summary>The ways of making zeroes, the cheapest first.</summary>
    private enum ZeroWay
    {
        Punch,
        Range,
        Write,
    }
}
