using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Vfio.Interop;

/// <summary>An open file of the kernel's: a container, a group, a device.</summary>
/// <remarks>Thread-safe. After disposal every call fails with EBADF; none throws.</remarks>
internal interface IKernelFile : IDisposable
{
    /// <summary>The descriptor, to be named in another file's calls.</summary>
    int Number { get; }

    /// <summary>Calls with a structure, until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    int Ioctl(uint request, Span<byte> argument);

    /// <summary>Calls with a value, until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    int Ioctl(uint request, nuint value);

    /// <summary>Reads by one call.</summary>
    /// <returns>True if exactly as much as asked for was read.</returns>
    bool TryRead(ulong offset, Span<byte> destination);

    /// <summary>Writes by one call.</summary>
    /// <returns>True if all of it was written.</returns>
    bool TryWrite(ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Maps a part of the file, shared.</summary>
    /// <exception cref="HostException">The kernel refuses.</exception>
    HostMemory Map(ulong offset, ulong length, bool writable);
}
