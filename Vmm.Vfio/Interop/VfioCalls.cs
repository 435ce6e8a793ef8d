using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;

namespace Vmm.Vfio.Interop;

/// <summary>The real kernel behind <see cref="IVfioCalls"/>.</summary>
internal sealed unsafe class VfioCalls : IVfioCalls
{
    /// <summary>It holds nothing: one does for all.</summary>
    public static VfioCalls Instance { get; } = new();

    public ulong LockedMemoryLimit
    {
        get
        {
            Libc.rlimit limit;
            return Libc.Getrlimit(Libc.RLIMIT_MEMLOCK, &limit) == 0 ? limit.rlim_cur : ulong.MaxValue;
        }
    }

    public IKernelFile? Open(string path, out int errno)
    {
        while (true)
        {
            int descriptor = Libc.Open(path, Libc.O_RDWR | Libc.O_CLOEXEC);
            errno = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
            if (errno != Libc.EINTR)
            {
                return descriptor < 0 ? null : new KernelFile(descriptor);
            }
        }
    }

    public IKernelFile Adopt(int descriptor) => new KernelFile(descriptor);

    public bool Exists(string path) => Path.Exists(path);

    public string? ReadLinkName(string path)
    {
        try
        {
            return File.ResolveLinkTarget(path, returnFinalTarget: true)?.Name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    public IReadOnlyList<string> List(string path)
    {
        try
        {
            return [.. Directory.EnumerateFileSystemEntries(path).Select(entry => Path.GetFileName(entry)).Order(StringComparer.Ordinal)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }
}
