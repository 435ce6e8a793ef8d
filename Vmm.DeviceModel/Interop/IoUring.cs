using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;

namespace Vmm.DeviceModel.Interop;

/// <summary>An io_uring: operations on descriptors that the kernel is asked for many at a time, and that end in any order.</summary>
/// <remarks>
/// <para>
/// One thread at a time uses it. An operation is written (<see cref="TryAdd"/>) and begins with the next <see cref="Submit"/>, one system call for
/// all of them; its end is taken by <see cref="TryTake"/>, which is none. The ring's descriptor can be polled: it is readable while there are ends
/// to take.
/// </para>
/// <para>
/// No more operations may be outstanding than <see cref="Capacity"/>; <see cref="TryAdd"/> sees to it, so that the kernel never has to keep an end
/// for which there is no room. Memory that an operation uses stays until its end was taken; what describes it (a vector list) until it was submitted.
/// </para>
/// <para>Closing the ring lets go of what is outstanding without waiting for it: the owner takes all ends first.</para>
/// </remarks>
internal sealed unsafe class IoUring : IDisposable
{
    /// <summary>Operations that can be written between two submissions and be outstanding at once, at most.</summary>
    public const int MaximumEntries = 4096;

    // The last one came with plain reads and writes, and nothing else tells of those.
    private const uint Features =
        Libc.IORING_FEAT_SINGLE_MMAP | Libc.IORING_FEAT_NODROP | Libc.IORING_FEAT_SUBMIT_STABLE | Libc.IORING_FEAT_RW_CUR_POS;

    private readonly FileDescriptor _descriptor;
    private readonly byte* _rings;
    private readonly nuint _ringsLength;
    private readonly Libc.io_uring_sqe* _entries;
    private readonly nuint _entriesLength;
    private readonly uint* _submissionTail;
    private readonly uint* _submissionHead;
    private readonly uint _submissionMask;
    private readonly uint* _completionHead;
    private readonly uint* _completionTail;
    private readonly uint _completionMask;
    private readonly Libc.io_uring_cqe* _completions;
    private uint _tail;
    private uint _head;
    private bool _disposed;

    private IoUring(FileDescriptor descriptor, in Libc.io_uring_params parameters, byte* rings, nuint ringsLength, byte* entries, nuint entriesLength)
    {
        _descriptor = descriptor;
        _rings = rings;
        _ringsLength = ringsLength;
        _entries = (Libc.io_uring_sqe*)entries;
        _entriesLength = entriesLength;
        _submissionHead = (uint*)(rings + parameters.sq_off.head);
        _submissionTail = (uint*)(rings + parameters.sq_off.tail);
        _submissionMask = *(uint*)(rings + parameters.sq_off.ring_mask);
        _completionHead = (uint*)(rings + parameters.cq_off.head);
        _completionTail = (uint*)(rings + parameters.cq_off.tail);
        _completionMask = *(uint*)(rings + parameters.cq_off.ring_mask);
        _completions = (Libc.io_uring_cqe*)(rings + parameters.cq_off.sixth);
        _tail = *_submissionTail;
        _head = *_completionHead;
        Capacity = (int)Math.Min(parameters.sq_entries, parameters.cq_entries);

        // Entry n of the ring is always entry n of the table.
        uint* array = (uint*)(rings + parameters.sq_off.seventh);
        for (uint i = 0; i < parameters.sq_entries; i++)
        {
            array[i] = i;
        }
    }

    /// <summary>Operations that can be outstanding at once.</summary>
    public int Capacity { get; }

    /// <summary>Operations that were written and whose end was not taken.</summary>
    public int Outstanding { get; private set; }

    /// <summary>The number of the ring's descriptor, for a watch.</summary>
    public int Descriptor => _descriptor.Number;

    /// <summary>True if operations were written and not submitted.</summary>
    public bool HasUnsubmitted => Unsubmitted != 0;

    /// <summary>Operations that were written and not submitted.</summary>
    public int Unsubmitted => (int)(_tail - Volatile.Read(ref *_submissionHead));

    /// <summary>True if there are ends to take.</summary>
    public bool HasCompleted => _head != Volatile.Read(ref *_completionTail);

    /// <summary>Makes a ring.</summary>
    /// <param name="entries">Operations at once, 1 to <see cref="MaximumEntries"/>; rounded up to a power of two.</param>
    /// <param name="ring">The ring.</param>
    /// <returns>0 or an error number: ENOSYS where the kernel has no io_uring that is new enough (5.6), EPERM where it is switched off.</returns>
    public static int TryCreate(int entries, out IoUring? ring)
    {
        ring = null;
        ArgumentOutOfRangeException.ThrowIfLessThan(entries, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(entries, MaximumEntries);
        const uint Wanted = Libc.IORING_SETUP_SUBMIT_ALL | Libc.IORING_SETUP_COOP_TASKRUN;
        int error = SetUp((uint)entries, Wanted, out FileDescriptor descriptor, out Libc.io_uring_params parameters);
        if (error == Errno.EINVAL)
        {
            // Before 5.19; it works without.
            error = SetUp((uint)entries, 0, out descriptor, out parameters);
        }

        if (error == 0 && (parameters.features & Features) != Features)
        {
            error = Errno.ENOSYS;
        }

        if (error == 0)
        {
            error = TryMap(descriptor, parameters, out ring);
        }

        if (error != 0)
        {
            descriptor.Dispose();
        }

        return error;
    }

    /// <summary>
    /// Sets how many threads the kernel makes at most for operations on files that it can only do by waiting, for all rings of the thread that
    /// submits. By itself it makes four a processor, and no more than the ring has entries; they are made when they are needed and end when they are
    /// not.
    /// </summary>
    /// <param name="count">Threads, at least 1.</param>
    /// <returns>0, or an error number: EINVAL before Linux 5.15, where the limit is the kernel's.</returns>
    public int LimitThreads(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);

        // Of the other kind, for sockets and the like, 0 changes nothing.
        uint* limits = stackalloc uint[2] { (uint)count, 0 };
        return Libc.ErrorOf(Libc.io_uring_register(
            Libc.SYS_io_uring_register, _descriptor.Number, Libc.IORING_REGISTER_IOWQ_MAX_WORKERS, limits, 2));
    }

    /// <summary>Gives a cleared entry to be filled with an operation before the next call.</summary>
    /// <param name="entry">The entry; what its user_data is comes back with the end.</param>
    /// <returns>False while as many are outstanding as there may be.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryAdd(out Libc.io_uring_sqe* entry)
    {
        if (Outstanding == Capacity || _tail - Volatile.Read(ref *_submissionHead) > _submissionMask)
        {
            entry = null;
            return false;
        }

        entry = _entries + (_tail & _submissionMask);
        *entry = default;
        _tail++;
        Outstanding++;
        return true;
    }

    /// <summary>Begins what was written since the last call: one system call, which does not wait for the operations.</summary>
    /// <returns>
    /// 0, or an error number; what was not begun stays written. EAGAIN and ENOMEM pass when others have ended: take their ends and call again.
    /// </returns>
    public int Submit()
    {
        // Release: the entries are out before the tail. Pairs with the kernel's acquire.
        Volatile.Write(ref *_submissionTail, _tail);
        while (true)
        {
            uint count = _tail - Volatile.Read(ref *_submissionHead);
            if (count == 0)
            {
                return 0;
            }

            nint done = Libc.io_uring_enter(Libc.SYS_io_uring_enter, _descriptor.Number, count, 0, 0, null, 0);
            int error = Libc.ErrorOf(done);
            if (error != 0 && error != Errno.EINTR)
            {
                return error;
            }

            if (done == 0)
            {
                return Errno.EAGAIN;
            }
        }
    }

    /// <summary>Takes back the operation that was written last, if it was not begun.</summary>
    /// <param name="tag">Its user_data.</param>
    /// <returns>False if all have been begun.</returns>
    public bool TryWithdraw(out ulong tag)
    {
        if (!HasUnsubmitted)
        {
            tag = 0;
            return false;
        }

        _tail--;
        Outstanding--;
        tag = _entries[_tail & _submissionMask].user_data;
        Volatile.Write(ref *_submissionTail, _tail);
        return true;
    }

    /// <summary>Takes the end of an operation.</summary>
    /// <param name="tag">Its user_data.</param>
    /// <param name="result">The return value of the system call that it stands for (bytes, or 0), or a negative error number.</param>
    /// <returns>False if there is none now.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool TryTake(out ulong tag, out int result)
    {
        // Acquire: the end is read after the tail. Pairs with the kernel's release.
        if (_head == Volatile.Read(ref *_completionTail))
        {
            tag = 0;
            result = 0;
            return false;
        }

        Libc.io_uring_cqe* end = _completions + (_head & _completionMask);
        tag = end->user_data;
        result = end->res;
        _head++;
        Outstanding--;
        Volatile.Write(ref *_completionHead, _head);
        return true;
    }

    /// <summary>Waits until there is an end to take, or a signal comes. Has ends that the kernel holds back delivered.</summary>
    /// <returns>0 or an error number.</returns>
    public int Wait()
    {
        nint done = Libc.io_uring_enter(Libc.SYS_io_uring_enter, _descriptor.Number, 0, 1, Libc.IORING_ENTER_GETEVENTS, null, 0);
        return Libc.WasInterrupted(done) ? 0 : Libc.ErrorOf(done);
    }

    /// <summary>Closes the ring; idempotent.</summary>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            _ = Libc.munmap(_entries, _entriesLength);
            _ = Libc.munmap(_rings, _ringsLength);
            _descriptor.Dispose();
        }
    }

    private static int SetUp(uint entries, uint flags, out FileDescriptor descriptor, out Libc.io_uring_params parameters)
    {
        fixed (Libc.io_uring_params* pointer = &parameters)
        {
            *pointer = new Libc.io_uring_params { flags = flags };
            nint number = Libc.io_uring_setup(Libc.SYS_io_uring_setup, entries, pointer);
            int error = Libc.ErrorOf(number);
            descriptor = new FileDescriptor((int)number);
            return error;
        }
    }

    private static int TryMap(FileDescriptor descriptor, in Libc.io_uring_params parameters, out IoUring? ring)
    {
        ring = null;
        nuint ringsLength = Math.Max(
            parameters.sq_off.seventh + (parameters.sq_entries * sizeof(uint)),
            parameters.cq_off.sixth + (parameters.cq_entries * (uint)sizeof(Libc.io_uring_cqe)));
        nuint entriesLength = parameters.sq_entries * (uint)sizeof(Libc.io_uring_sqe);
        int error = Map(descriptor, ringsLength, Libc.IORING_OFF_SQ_RING, out byte* rings);
        if (error != 0)
        {
            return error;
        }

        error = Map(descriptor, entriesLength, Libc.IORING_OFF_SQES, out byte* entries);
        if (error != 0)
        {
            _ = Libc.munmap(rings, ringsLength);
            return error;
        }

        ring = new IoUring(descriptor, parameters, rings, ringsLength, entries, entriesLength);
        return 0;
    }

    private static int Map(FileDescriptor descriptor, nuint length, long offset, out byte* start)
    {
        start = (byte*)Libc.mmap(null, length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, descriptor.Number, offset);
        return (nint)start == -1 ? Marshal.GetLastPInvokeError() : 0;
    }
}
