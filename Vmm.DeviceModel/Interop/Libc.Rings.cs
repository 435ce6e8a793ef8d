using System.Runtime.InteropServices;

namespace Vmm.DeviceModel.Interop;

/// <content>io_uring (linux/io_uring.h). The C library has no names for its calls; their numbers are the same on x86-64 and arm64.</content>
internal static unsafe partial class Libc
{
    public const nint SYS_io_uring_setup = 425;
    public const nint SYS_io_uring_enter = 426;
    public const nint SYS_io_uring_register = 427;

    public const uint IORING_SETUP_CQSIZE = 1 << 3;
    public const uint IORING_SETUP_CLAMP = 1 << 4;
    public const uint IORING_SETUP_SUBMIT_ALL = 1 << 7;
    public const uint IORING_SETUP_COOP_TASKRUN = 1 << 8;

    public const uint IORING_FEAT_SINGLE_MMAP = 1 << 0;
    public const uint IORING_FEAT_NODROP = 1 << 1;
    public const uint IORING_FEAT_SUBMIT_STABLE = 1 << 2;
    public const uint IORING_FEAT_RW_CUR_POS = 1 << 3;

    public const uint IORING_REGISTER_IOWQ_MAX_WORKERS = 19;

    public const uint IORING_ENTER_GETEVENTS = 1 << 0;

    public const uint IORING_SQ_CQ_OVERFLOW = 1 << 1;
    public const uint IORING_SQ_TASKRUN = 1 << 2;

    public const long IORING_OFF_SQ_RING = 0;
    public const long IORING_OFF_SQES = 0x10000000;

    public const byte IOSQE_IO_DRAIN = 1 << 1;
    public const byte IOSQE_IO_LINK = 1 << 2;
    public const byte IOSQE_ASYNC = 1 << 4;

    public const uint IORING_FSYNC_DATASYNC = 1;

    public const byte IORING_OP_NOP = 0;
    public const byte IORING_OP_READV = 1;
    public const byte IORING_OP_WRITEV = 2;
    public const byte IORING_OP_FSYNC = 3;
    public const byte IORING_OP_POLL_ADD = 6;
    public const byte IORING_OP_ASYNC_CANCEL = 14;
    public const byte IORING_OP_FALLOCATE = 17;
    public const byte IORING_OP_READ = 22;
    public const byte IORING_OP_WRITE = 23;

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial nint io_uring_setup(nint number, uint entries, io_uring_params* parameters);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial nint io_uring_enter(nint number, int fd, uint submit, uint complete, uint flags, void* argument, nuint size);

    [LibraryImport(Library, EntryPoint = "syscall", SetLastError = true)]
    public static partial nint io_uring_register(nint number, int fd, uint operation, void* argument, uint count);

    /// <summary>struct io_uring_sqe: one operation.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 64)]
    public struct io_uring_sqe
    {
        [FieldOffset(0)]
        public byte opcode;

        [FieldOffset(1)]
        public byte flags;

        [FieldOffset(2)]
        public ushort ioprio;

        [FieldOffset(4)]
        public int fd;

        [FieldOffset(8)]
        public ulong off;

        [FieldOffset(16)]
        public ulong addr;

        [FieldOffset(24)]
        public uint len;

        /// <summary>rw_flags, fsync_flags, poll32_events and others.</summary>
        [FieldOffset(28)]
        public uint op_flags;

        [FieldOffset(32)]
        public ulong user_data;
    }

    /// <summary>struct io_uring_cqe: how one operation ended.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct io_uring_cqe
    {
        public ulong user_data;
        public int res;
        public uint flags;
    }

    /// <summary>struct io_uring_params.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct io_uring_params
    {
        public uint sq_entries;
        public uint cq_entries;
        public uint flags;
        public uint sq_thread_cpu;
        public uint sq_thread_idle;
        public uint features;
        public uint wq_fd;
        public fixed uint resv[3];
        public io_ring_offsets sq_off;
        public io_ring_offsets cq_off;
    }

    /// <summary>struct io_sqring_offsets and io_cqring_offsets, whose members differ from the fifth on.</summary>
    [StructLayout(LayoutKind.Sequential)]
    public struct io_ring_offsets
    {
        public uint head;
        public uint tail;
        public uint ring_mask;
        public uint ring_entries;

        /// <summary>flags of the submission ring, overflow of the completion ring.</summary>
        public uint fifth;

        /// <summary>dropped of the submission ring, cqes of the completion ring.</summary>
        public uint sixth;

        /// <summary>array of the submission ring, flags of the completion ring.</summary>
        public uint seventh;

        public uint resv1;
        public ulong resv2;
    }
}
