using System;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Memory;

/// <summary>A mapping of host memory that we own: anonymous, memfd or file-backed (MEM-6).</summary>
/// <remarks>
/// The host gives pages when they are first touched. From 2 MiB on, a mapping's address and its offset in the descriptor are the same modulo
/// 2 MiB, from 1 GiB on modulo 1 GiB: only then can the host use one large page for what is one in the guest or in a device's memory. Unmapped
/// at disposal; who disposes makes sure that nobody uses it (remove its regions first). While I/O is under way into a region of it, the mapping
/// itself stays until that ends.
/// </remarks>
public sealed unsafe class HostMemory : IDisposable
{
    private const ulong HugePageSize = 2 << 20;
    private const ulong LargestPageSize = 1 << 30;
    private const int PlacementAttempts = 8;

    private readonly FileDescriptor? _descriptor;
    private byte* _pointer;

    // One for the owner, and one for each region that is pinned.
    private int _holds = 1;
    private int _disposed;

    private HostMemory(byte* pointer, ulong length, FileDescriptor? descriptor, ulong offset)
    {
        _pointer = pointer;
        Length = length;
        _descriptor = descriptor;
        DescriptorOffset = offset;
    }

    /// <summary>Unmaps what nobody disposed.</summary>
    ~HostMemory() => Unmap();

    /// <summary>First byte.</summary>
    public byte* Pointer
    {
        get
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _disposed) != 0, this);
            return _pointer;
        }
    }

    /// <summary>The first bytes. Valid until disposal.</summary>
    /// <param name="length">Bytes, at most <see cref="Length"/>.</param>
    internal Span<byte> GetSpan(int length)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((ulong)length, Length, nameof(length));
        return new Span<byte>(Pointer, length);
    }

    /// <summary>Finds bytes in the mapping.</summary>
    /// <param name="part">The bytes, as this process has them.</param>
    /// <param name="offset">Where in the mapping the first lies.</param>
    /// <returns>False if they do not all lie in the mapping, or there are none.</returns>
    public bool TryFind(ReadOnlySpan<byte> part, out ulong offset)
    {
        fixed (byte* first = part)
        {
            byte* start = Pointer;
            offset = (ulong)(first - start);
            bool isInside = !part.IsEmpty && first >= start && GuestRange.Fits(offset, (ulong)part.Length, Length);
            offset = isInside ? offset : 0;
            return isInside;
        }
    }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>False if the mapping is read-only: a store to it would end the process.</summary>
    public bool IsWritable { get; private init; } = true;

    /// <summary>The descriptor behind shared memory, or -1.</summary>
    public int Descriptor => _descriptor?.Number ?? -1;

    /// <summary>Where the mapping starts in the descriptor, in bytes.</summary>
    public ulong DescriptorOffset { get; }

    /// <summary>The pages are somebody else's: a file's, which can be cut short, or a device's, where a read may have effects.</summary>
    internal bool IsForeign { get; private init; }

    /// <summary>Private anonymous memory; the host gives pages when they are first touched.</summary>
    /// <param name="length">Bytes, rounded up to the page size.</param>
    /// <param name="hugePages">Ask for transparent huge pages (in the guest's interest, at the cost of memory that it does not touch).</param>
    /// <exception cref="HostException">The host refuses.</exception>
    public static HostMemory AllocateAnonymous(ulong length, bool hugePages = false)
    {
        const int Flags = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE;
        length = RoundUp(length, (ulong)Environment.SystemPageSize);
        byte* pointer = Map(length, Libc.PROT_READ | Libc.PROT_WRITE, Flags, -1, 0, "anonymous memory");
        Advise(pointer, length, hugePages);
        return new HostMemory(pointer, length, null, 0);
    }

    /// <summary>Shared memory behind a memfd, whose descriptor can be passed to another process. Its size is sealed.</summary>
    /// <param name="name">Shown in /proc/PID/maps; at most 249 bytes.</param>
    /// <param name="length">Bytes, rounded up to the page size (to the huge page size with <paramref name="hugeTlb"/>).</param>
    /// <param name="hugeTlb">Back it with reserved huge pages of 2 MiB.</param>
    /// <param name="hugePages">
    /// Ask for transparent huge pages, which shared memory gets only where /sys/kernel/mm/transparent_hugepage/shmem_enabled says <c>advise</c>
    /// or more; without meaning for reserved ones.
    /// </param>
    /// <exception cref="HostException">The host refuses; without enough reserved huge pages it does.</exception>
    public static HostMemory AllocateShared(string name, ulong length, bool hugeTlb = false, bool hugePages = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        length = RoundUp(length, hugeTlb ? HugePageSize : (ulong)Environment.SystemPageSize);
        uint flags = Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING | (hugeTlb ? Libc.MFD_HUGETLB | Libc.MFD_HUGE_2MB : 0);
        var descriptor = new FileDescriptor(Libc.memfd_create(name, flags));
        if (descriptor.IsInvalid)
        {
            throw new HostException("memfd_create", Marshal.GetLastPInvokeError(), $"cannot make shared memory '{name}'");
        }

        try
        {
            if (Libc.ftruncate(descriptor.Number, checked((long)length)) != 0)
            {
                throw new HostException("ftruncate", Marshal.GetLastPInvokeError(), $"cannot size shared memory '{name}' to {length >> 20} MiB");
            }

            // Whoever gets the descriptor must not be able to cut memory off under us: touching it would kill the process.
            if (Libc.fcntl(descriptor.Number, Libc.F_ADD_SEALS, Libc.F_SEAL_SHRINK | Libc.F_SEAL_GROW | Libc.F_SEAL_SEAL) != 0)
            {
                throw new HostException("fcntl(F_ADD_SEALS)", Marshal.GetLastPInvokeError(), $"cannot seal shared memory '{name}'");
            }

            // Huge pages are reserved here, so that the lack of them is an error now and not a SIGBUS later.
            int mode = Libc.MAP_SHARED | (hugeTlb ? 0 : Libc.MAP_NORESERVE);
            string what = hugeTlb ? $"{length >> 20} MiB of huge pages (reserve more in /proc/sys/vm/nr_hugepages)" : $"shared memory '{name}'";
            byte* pointer = Map(length, Libc.PROT_READ | Libc.PROT_WRITE, mode, descriptor.Number, 0, what);
            Advise(pointer, length, hugePages && !hugeTlb);
            return new HostMemory(pointer, length, descriptor, 0);
        }
        catch
        {
            descriptor.Dispose();
            throw;
        }
    }

    /// <summary>Maps a part of an open descriptor, shared.</summary>
    /// <param name="descriptor">File, memfd or device; duplicated, the caller keeps its own.</param>
    /// <param name="offset">Page-aligned offset in bytes.</param>
    /// <param name="length">Bytes, rounded up to the page size.</param>
    /// <param name="writable">Map for writing too.</param>
    /// <exception cref="HostException">The host refuses, or a regular file ends before the range does.</exception>
    public static HostMemory MapDescriptor(int descriptor, ulong offset, ulong length, bool writable)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(offset, (ulong)long.MaxValue - (ulong)Environment.SystemPageSize);
        if (offset % (ulong)Environment.SystemPageSize != 0)
        {
            throw new ArgumentException($"offset 0x{offset:x} is not a multiple of the page size", nameof(offset));
        }

        ulong wanted = length;
        length = RoundUp(length, (ulong)Environment.SystemPageSize);
        var own = new FileDescriptor(Libc.fcntl(descriptor, Libc.F_DUPFD_CLOEXEC, 0));
        if (own.IsInvalid)
        {
            throw new HostException("fcntl(F_DUPFD_CLOEXEC)", Marshal.GetLastPInvokeError(), $"cannot duplicate descriptor {descriptor}");
        }

        try
        {
            RequireInside(own, offset, wanted);
            int protection = Libc.PROT_READ | (writable ? Libc.PROT_WRITE : 0);
            byte* pointer = Map(length, protection, Libc.MAP_SHARED, own.Number, offset, $"descriptor {descriptor}");
            return new HostMemory(pointer, length, own, offset) { IsWritable = writable, IsForeign = true };
        }
        catch
        {
            own.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _descriptor?.Dispose();
            Release();
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Gives pages back: of private memory from the mapping, of shared memory from what is behind it.</summary>
    /// <returns>False if they are somebody else's, or huge ones in part.</returns>
    internal bool TryDiscard(ulong offset, ulong length)
    {
        int advice = _descriptor is null ? Libc.MADV_DONTNEED : Libc.MADV_REMOVE;
        return !IsForeign && Libc.madvise(Pointer + offset, (nuint)length, advice) == 0;
    }

    /// <summary>Keeps the mapping beyond its disposal, until <see cref="Release"/>.</summary>
    internal void Hold() => Interlocked.Increment(ref _holds);

    /// <summary>Ends a hold; the last unmaps.</summary>
    internal void Release()
    {
        if (Interlocked.Decrement(ref _holds) == 0)
        {
            Unmap();
        }
    }

    /// <summary>Refuses to lend a read-only mapping for writing.</summary>
    /// <exception cref="ArgumentException">It is read-only and writes are wanted.</exception>
    internal void RequireWritable(bool writes)
    {
        if (writes && !IsWritable)
        {
            throw new ArgumentException("the memory was mapped read-only, and a write to it would end the process: lend it read-only");
        }
    }

    /// <summary>Refuses what lies behind the end of a regular file: touching it would be a SIGBUS.</summary>
    private static void RequireInside(FileDescriptor descriptor, ulong offset, ulong length)
    {
        Libc.statx_buffer status;
        if (Libc.statx(descriptor.Number, "", Libc.AT_EMPTY_PATH, Libc.STATX_TYPE | Libc.STATX_SIZE, &status) != 0)
        {
            throw new HostException("statx", Marshal.GetLastPInvokeError(), "cannot find out the size of what is to be mapped");
        }

        if ((status.stx_mode & Libc.S_IFMT) == Libc.S_IFREG && !GuestRange.Fits(offset, length, status.stx_size))
        {
            throw new HostException("mmap", 0, $"the file has {status.stx_size} bytes, too few for {length} at offset {offset}");
        }
    }

    private static ulong RoundUp(ulong length, ulong unit)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)long.MaxValue - unit);
        return (length + unit - 1) / unit * unit;
    }

    /// <summary>Maps where a large page can be one on both sides; if others take every such place meanwhile, anywhere.</summary>
    private static byte* Map(ulong length, int protection, int flags, int descriptor, ulong offset, string what)
    {
        ulong alignment = length >= LargestPageSize ? LargestPageSize : length >= HugePageSize ? HugePageSize : (ulong)Environment.SystemPageSize;
        for (int attempt = 0; attempt < PlacementAttempts; attempt++)
        {
            byte* pointer = MapAt(FindPlace(length, alignment, offset), length, protection, flags, descriptor, offset, what);
            if (((ulong)pointer - offset) % alignment == 0)
            {
                return pointer;
            }

            _ = Libc.munmap(pointer, (nuint)length);
        }

        return MapAt(null, length, protection, flags, descriptor, offset, what);
    }

    private static byte* MapAt(byte* place, ulong length, int protection, int flags, int descriptor, ulong offset, string what)
    {
        void* pointer = Libc.mmap(place, (nuint)length, protection, flags, descriptor, (long)offset);
        if ((nint)pointer == -1)
        {
            throw new HostException("mmap", Marshal.GetLastPInvokeError(), $"cannot map {length >> 10} KiB of {what}");
        }

        return (byte*)pointer;
    }

    /// <summary>
    /// A free place that is aligned as the offset is, or null. It is a wish, not a reservation, for a fixed mapping that is refused half-way can
    /// leave a hole, and nobody knows whose it is then.
    /// </summary>
    private static byte* FindPlace(ulong length, ulong alignment, ulong offset)
    {
        if (alignment <= (ulong)Environment.SystemPageSize)
        {
            return null;
        }

        void* area = Libc.mmap(
            null, (nuint)(length + alignment), Libc.PROT_NONE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if ((nint)area == -1)
        {
            return null;
        }

        _ = Libc.munmap(area, (nuint)(length + alignment));
        return (byte*)area + ((offset - (ulong)area) & (alignment - 1));
    }

    /// <summary>Asks for transparent huge pages. Where they are off, ordinary pages do.</summary>
    private static void Advise(byte* pointer, ulong length, bool hugePages)
    {
        if (hugePages)
        {
            _ = Libc.madvise(pointer, (nuint)length, Libc.MADV_HUGEPAGE);
        }
    }

    private void Unmap()
    {
        byte* pointer = _pointer;
        _pointer = null;
        if (pointer is not null)
        {
            _ = Libc.munmap(pointer, (nuint)Length);
        }
    }
}
