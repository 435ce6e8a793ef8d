using System;
using Vmm.DeviceModel.Interop;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>Packets to and from a descriptor by one system call for several, through an io_uring.</summary>
/// <remarks>
/// One thread at a time. None of its operations waits, each ends in the call that begins it, and they are begun in order: packets keep theirs, and
/// nothing is in flight between two calls.
/// </remarks>
internal sealed unsafe class PacketRing : IDisposable
{
    private const uint RWF_NOWAIT = 8;

    private readonly FileDescriptor _descriptor;
    private readonly IoUring _ring;

    private PacketRing(FileDescriptor descriptor, IoUring ring)
    {
        _descriptor = descriptor;
        _ring = ring;
    }

    /// <summary>Makes a ring for a tap.</summary>
    /// <param name="descriptor">The tap, attached; stays the caller's.</param>
    /// <param name="packets">Packets at once.</param>
    /// <returns>Null where the kernel has no io_uring, does not let it be used, or lets it wait for a tap (before 5.11).</returns>
    public static PacketRing? TryCreate(FileDescriptor descriptor, int packets)
    {
        if (IoUring.TryCreate(packets, out IoUring? ring) != 0)
        {
            return null;
        }

        // A packet of no bytes has no header, which is EINVAL, where writing without waiting is known at all.
        var made = new PacketRing(descriptor, ring!);
        int result = 0;
        made.Add(Libc.IORING_OP_WRITEV, default, 0);
        if (made.Run(1, new Span<int>(ref result)) == 1 && result == -Errno.EINVAL)
        {
            return made;
        }

        made.Dispose();
        return null;
    }

    /// <summary>Reads a packet into each room.</summary>
    /// <param name="rooms">Rooms.</param>
    /// <param name="results">Filled with lengths, or negative error numbers: EAGAIN where there was no packet, also before one that came.</param>
    /// <returns>Rooms that were tried, from the first; fewer than there are if the ring is of no use any more.</returns>
    public int Read(PacketBatch rooms, Span<int> results) => Move(Libc.IORING_OP_READV, rooms, results);

    /// <summary>Writes packets.</summary>
    /// <param name="packets">Packets.</param>
    /// <param name="results">Filled with lengths, or negative error numbers.</param>
    /// <returns>Packets that were tried, from the first; fewer than there are if the ring is of no use any more.</returns>
    public int Write(PacketBatch packets, Span<int> results) => Move(Libc.IORING_OP_WRITEV, packets, results);

    /// <summary>Closes the ring; idempotent.</summary>
    public void Dispose() => _ring.Dispose();

    private int Move(byte operation, PacketBatch packets, Span<int> results)
    {
        int count = 0;
        while (count < packets.Count && Add(operation, packets[count], (uint)count))
        {
            count++;
        }

        return Run(count, results);
    }

    private bool Add(byte operation, GuestBuffers packet, uint index)
    {
        if (!_ring.TryAdd(out Libc.io_uring_sqe* entry))
        {
            return false;
        }

        // Pieces of a batch are used whole, and are laid out as the kernel's.
        entry->opcode = operation;
        entry->fd = _descriptor.Number;
        entry->addr = (ulong)packet.Segments;
        entry->len = (uint)packet.Count;
        entry->op_flags = RWF_NOWAIT;
        entry->user_data = index;
        return true;
    }

    private int Run(int count, Span<int> results)
    {
        int begun = _ring.Submit() == 0 ? count : count - _ring.Unsubmitted;
        for (int ended = 0; ended < begun;)
        {
            if (_ring.TryTake(out ulong index, out int result))
            {
                results[(int)index] = result;
                ended++;
            }
            else if (_ring.Wait() != 0)
            {
                // It is closed then, and what it has begun with it.
                return 0;
            }
        }

        return begun;
    }
}
