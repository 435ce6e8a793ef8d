using System;
using System.Runtime.InteropServices;

namespace Vmm.Virtio.Devices;

/// <summary>What stands behind a device on the host (a file, a tap) cannot be used. Thrown when it is opened, never out of a guest's request.</summary>
public sealed class BackendException : Exception
{
    /// <summary>Names what failed and why.</summary>
    /// <param name="step">What was tried, for example <c>open</c>.</param>
    /// <param name="path">The file or interface.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">What is wrong and what to do about it.</param>
    public BackendException(string step, string path, int errno, string detail)
        : base(errno == 0 ? $"{path}: {detail}" : $"{path}: {detail} ({step}: errno {errno}, {Marshal.GetPInvokeErrorMessage(errno)})")
    {
        Step = step;
        Path = path;
        Errno = errno;
    }

    /// <summary>What was tried.</summary>
    public string Step { get; }

    /// <summary>The file or interface.</summary>
    public string Path { get; }

    /// <summary>The kernel's error number, or 0.</summary>
    public int Errno { get; }
}
