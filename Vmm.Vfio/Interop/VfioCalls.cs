using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Interop;

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
            return Libc.getrlimit(Libc.RLIMIT_MEMLOCK, &limit) == 0 ? limit.rlim_cur : ulong.MaxValue;
        }
    }

    public IKernelFile? Open(string path, out int errno)
    {
        errno = DescriptorIo.Open(path, Libc.O_RDWR, out FileDescriptor descriptor);
        return errno == 0 ? new KernelFile(descriptor) : null;
    }

    public IKernelFile Adopt(int descriptor) => new KernelFile(new FileDescriptor(descriptor));

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

    public string? ReadText(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
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
