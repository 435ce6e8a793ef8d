using System;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Disks;

/// <content>From a request to the operation that the kernel is asked for, and from its result to the status.</content>
internal sealed unsafe partial class DiskRing
{
    /// <summary>Reads at once what is cached.</summary>
    /// <returns>True if that was all.</returns>
    private bool TryCached(Operation operation)
    {
        BlockRequest request = operation.Request!;
        operation.Done = _file.ReadCached(request.Offset, request.Buffers);
        if (operation.Done < request.Length)
        {
            return false;
        }

        End(operation, BlockStatus.Ok);
        return true;
    }

    /// <summary>Writes what a request needs next into the ring.</summary>
    /// <returns>False if something has no room.</returns>
    private bool TryWrite(Operation operation)
    {
        BlockRequest request = operation.Request!;
        bool moves = request.Operation is BlockOperation.Read or BlockOperation.Write;
        MemoryPiece* vectors = null;
        int count = 0;
        int slot = -1;
        if (moves && !TryDescribe(operation, out vectors, out count, out slot))
        {
            return false;
        }

        if (!_ring.TryAdd(out Libc.io_uring_sqe* entry))
        {
            if (slot >= 0)
            {
                _bounce!.Give(slot);
            }

            return false;
        }

        _vectorsUsed += count > 1 ? count : 0;
        entry->fd = _file.Number;
        entry->user_data = operation.Tag;
        entry->flags = operation.IsForced ? Libc.IOSQE_ASYNC : (byte)0;
        operation.Slot = slot;
        operation.IsInKernel = true;
        switch (request.Operation)
        {
            case BlockOperation.Flush:
                // It need not wait for writes in flight: those whose end the driver has seen are in the file.
                entry->opcode = Libc.IORING_OP_FSYNC;
                entry->op_flags = Libc.IORING_FSYNC_DATASYNC;
                break;
            case BlockOperation.Discard:
                SetAllocate(entry, Libc.FALLOC_FL_PUNCH_HOLE, request);
                break;
            case BlockOperation.WriteZeroes when operation.Way == ZeroWay.Write:
                entry->opcode = Libc.IORING_OP_WRITE;
                entry->off = (ulong)(request.Offset + operation.Done);
                entry->addr = (ulong)DiskFile.Zeroes;
                entry->len = (uint)Math.Min(DiskFile.ZeroesLength, request.Length - operation.Done);
                break;
            case BlockOperation.WriteZeroes:
                SetAllocate(entry, operation.Way == ZeroWay.Punch ? Libc.FALLOC_FL_PUNCH_HOLE : Libc.FALLOC_FL_ZERO_RANGE, request);
                break;
            default:
                SetMove(entry, request.Operation == BlockOperation.Write, vectors, count);
                entry->off = (ulong)(request.Offset + operation.Done);
                break;
        }

        return true;
    }

    private static void SetAllocate(Libc.io_uring_sqe* entry, int mode, BlockRequest request)
    {
        entry->opcode = Libc.IORING_OP_FALLOCATE;
        entry->off = (ulong)request.Offset;
        entry->addr = (ulong)request.Length;
        entry->len = (uint)(mode | Libc.FALLOC_FL_KEEP_SIZE);
    }

    private static void SetMove(Libc.io_uring_sqe* entry, bool isWrite, MemoryPiece* vectors, int count)
    {
        if (count == 1)
        {
            entry->opcode = isWrite ? Libc.IORING_OP_WRITE : Libc.IORING_OP_READ;
            entry->addr = (ulong)vectors->Address;
            entry->len = (uint)Math.Min((ulong)vectors->Length, MovedAtOnce);
        }
        else
        {
            entry->opcode = isWrite ? Libc.IORING_OP_WRITEV : Libc.IORING_OP_READV;
            entry->addr = (ulong)vectors;
            entry->len = (uint)count;
        }
    }

    /// <summary>Describes the memory of what is left of a read or a write.</summary>
    /// <returns>False if there is no room for the description, or none to bounce through.</returns>
    private bool TryDescribe(Operation operation, out MemoryPiece* vectors, out int count, out int slot)
    {
        BlockRequest request = operation.Request!;
        GuestBuffers buffers = request.Buffers;
        if (operation.Done > 0)
        {
            buffers = buffers.Slice(operation.Done);
        }

        vectors = _vectors + _vectorsUsed;
        slot = -1;
        int room = Math.Min(VectorCount - _vectorsUsed, DiskFile.VectorsAtOnce);
        if (room < Math.Min(buffers.Count, DiskFile.VectorsAtOnce))
        {
            count = 0;
            return false;
        }

        count = buffers.GetPieces(new Span<MemoryPiece>(vectors, room), out _);
        if (_bounce is not null && !_file.IsAligned(new ReadOnlySpan<MemoryPiece>(vectors, count)))
        {
            slot = _bounce.Take();
            if (slot < 0)
            {
                return false;
            }

            *vectors = new MemoryPiece((nint)_bounce.AddressOf(slot), (nuint)Math.Min(buffers.Length, BounceMemory.SlotLength));
            count = 1;
            if (request.Operation == BlockOperation.Write)
            {
                buffers.CopyTo(_bounce[slot]);
            }
        }

        return true;
    }

    /// <summary>Looks at how an operation ended.</summary>
    /// <returns>False if the request is to go on with another.</returns>
    private bool HasEnded(Operation operation, int result)
    {
        BlockRequest request = operation.Request!;
        operation.Status = BlockStatus.IoError;
        if (result == -Errno.EINTR || (result == -Errno.EAGAIN && !operation.IsForced))
        {
            operation.IsForced = true;
            return _cancelled;
        }

        switch (request.Operation)
        {
            case BlockOperation.Flush:
                operation.Status = StatusOf(-result);
                return true;
            case BlockOperation.Discard:
                // Where the file system cannot, the hint has been heard all the same.
                operation.Status = result == 0 || RawFileBackend.IsUnsupported(-result) ? BlockStatus.Ok : BlockStatus.IoError;
                return true;
            case BlockOperation.WriteZeroes when operation.Way != ZeroWay.Write:
                if (RawFileBackend.IsUnsupported(-result))
                {
                    operation.Way++;
                    return _cancelled;
                }

                operation.Status = StatusOf(-result);
                return true;
            default:
                return HasMoved(operation, result);
        }
    }

    /// <summary>Counts what a read or a write has moved.</summary>
    /// <returns>False if the request is to go on with the rest.</returns>
    private bool HasMoved(Operation operation, int result)
    {
        BlockRequest request = operation.Request!;
        if (result <= 0)
        {
            // Nothing moved: the file has become shorter under us, or takes nothing and says no reason.
            return true;
        }

        if (operation.Slot >= 0 && request.Operation == BlockOperation.Read)
        {
            request.Buffers.Slice(operation.Done).CopyFrom(_bounce![operation.Slot][..result]);
        }

        operation.Done += result;
        if (operation.Done < request.Length)
        {
            return _cancelled;
        }

        operation.Status = BlockStatus.Ok;
        return true;
    }
}
