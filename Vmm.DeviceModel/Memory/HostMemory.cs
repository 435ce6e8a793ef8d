using System;

using System.Runtime.InteropServices;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Memory;

/// <summary>A mapping of host memory that we own: anonymous, memfd or file-backed (MEM-6).</summary>
/// <remarks>Unmapped at disposal; who disposes makes sure that nobody uses it (remove its regions first).</remarks>
public sealed unsafe class HostMemory : IDisposable
{
    private const ulong HugePageSize = 2 << 20;

    private readonly FileDescriptor? _descriptor;
    private byte* _pointer;

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
            ObjectDisposedException.ThrowIf(_pointer == null, this);
            return _pointer;
        }
    }

    /// <summary>Bytes.</summary>
    public ulong Length { get; }

    /// <summary>The descriptor behind shared memory, or -1.</summary>
    public int Descriptor => _descriptor?.Number ?? -1;

    /// <summary>Where the mapping starts in the descriptor, in bytes.</summary>
    public ulong DescriptorOffset { get; }

    /// <summary>Private anonymous memory; the host gives pages when they are first touched.</summary>
    /// <param name="length">Bytes, rounded up to the page size.</param>
    /// <param name="hugePages">Ask for transparent huge pages.</param>
    /// <exception cref="HypervisorException">The host refuses.</exception>
    public static HostMemory AllocateAnonymous(ulong length, bool hugePages = false)
    {
        length = RoundUp(length, (ulong)Environment.SystemPageSize);
        byte* pointer = Map(length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0, "anonymous memory");
        if (hugePages)
        {
            // Advice: where transparent huge pages are off, ordinary pages do.
            _ = Libc.madvise(pointer, (nuint)length, Libc.MADV_HUGEPAGE);
        }

        return new HostMemory(pointer, length, null, 0);
    }

    /// <summary>Shared memory behind a memfd, whose descriptor can be passed to another process.</summary>
    /// <param name="name">Shown in /proc/PID/maps.</param>
    /// <param name="length">Bytes, rounded up to the page size (to the huge page size with <paramref name="hugeTlb"/>).</param>
    /// <param name="hugeTlb">Back it with reserved huge pages of 2 MiB.</param>
    /// <exception cref="HypervisorException">The host refuses; without enough reserved huge pages it does.</exception>
    public static HostMemory AllocateShared(string name, ulong length, bool hugeTlb = false)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        length = RoundUp(length, hugeTlb ? HugePageSize : (ulong)Environment.SystemPageSize);
        uint flags = Libc.MFD_CLOEXEC | (hugeTlb ? Libc.MFD_HUGETLB | Libc.MFD_HUGE_2MB : 0);
        var descriptor = new FileDescriptor(Libc.memfd_create(name, flags));
        if (descriptor.IsInvalid)
        {
            throw new HypervisorException("memfd_create", Marshal.GetLastPInvokeError(), $"cannot make shared memory '{name}'");
        }

        try
        {
            if (Libc.ftruncate(descriptor.Number, checked((long)length)) != 0)
            {
                throw new HypervisorException("ftruncate", Marshal.GetLastPInvokeError(), $"cannot size shared memory '{name}' to {length >> 20} MiB");
            }

            // Huge pages are reserved here, so that the lack of them is an error now and not a SIGBUS later.
            int mode = Libc.MAP_SHARED | (hugeTlb ? 0 : Libc.MAP_NORESERVE);
            string what = hugeTlb ? $"{length >> 20} MiB of huge pages (reserve more in /proc/sys/vm/nr_hugepages)" : $"shared memory '{name}'";
            return new HostMemory(Map(length, Libc.PROT_READ | Libc.PROT_WRITE, mode, descriptor.Number, 0, what), length, descriptor, 0);
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
    /// <exception cref="HypervisorException">The host refuses.</exception>
    public static HostMemory MapDescriptor(int descriptor, ulong offset, ulong length, bool writable)
    {
        length = RoundUp(length, (ulong)Environment.SystemPageSize);
        var own = new FileDescriptor(Libc.fcntl(descriptor, Libc.F_DUPFD_CLOEXEC, 0));
        if (own.IsInvalid)
        {
            throw new HypervisorException("fcntl(F_DUPFD_CLOEXEC)", Marshal.GetLastPInvokeError(), $"cannot duplicate descriptor {descriptor}");
        }

        try
        {
            int protection = Libc.PROT_READ | (writable ? Libc.PROT_WRITE : 0);
            return new HostMemory(Map(length, protection, Libc.MAP_SHARED, own.Number, (long)offset, $"descriptor {descriptor}"), length, own, offset);
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
        Unmap();
        _descriptor?.Dispose();
        GC.SuppressFinalize(this);
    }

    private static ulong RoundUp(ulong length, ulong unit)
    {
        ArgumentOutOfRangeException.ThrowIfZero(length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(length, (ulong)long.MaxValue - unit);
        return (length + unit - 1) / unit * unit;
    }

    private static byte* Map(ulong length, int protection, int flags, int descriptor, long offset, string what)
    {
        void* pointer = Libc.mmap(null, (nuint)length, protection, flags, descriptor, offset);
        if ((nint)pointer == -1)
        {
            throw new HypervisorException("mmap", Marshal.GetLastPInvokeError(), $"cannot map {length >> 10} KiB of {what}");
        }

        return (byte*)pointer;
    }

    private void Unmap()
    {
        byte* pointer = _pointer;
        _pointer = null;
        if (pointer != null)
        {
            _ = Libc.munmap(pointer, (nuint)Length);
        }
    }
}
