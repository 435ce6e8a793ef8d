using System;
using System.Runtime.InteropServices;

namespace Vmm.DeviceModel;

/// <summary>
/// The host (its kernel, a file system, the hypervisor) refused a step. The base of all such failures. Thrown at set-up, at removal and from
/// transactions, never out of a guest access.
/// </summary>
public class HostException : Exception
{
    /// <summary>Names the step and the errno.</summary>
    /// <param name="step">The call that failed, for example <c>KVM_SET_USER_MEMORY_REGION</c>.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">The thing that it was about, and what to do about it.</param>
    public HostException(string step, int errno, string detail)
        : this(errno == 0 ? $"{step}: {detail}" : $"{step}: {detail} ({Describe(errno)})", step, null, errno)
    {
    }

    /// <summary>For failures with a form of message of their own.</summary>
    /// <param name="message">One line.</param>
    /// <param name="step">The call that failed.</param>
    /// <param name="path">The file, device or interface that it was about, or null.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    protected HostException(string message, string step, string? path, int errno)
        : base(message)
    {
        (Step, Path, Errno) = (step, path, errno);
    }

    /// <summary>The call that failed.</summary>
    public string Step { get; }

    /// <summary>The file, device or interface that it was about, or null.</summary>
    public string? Path { get; }

    /// <summary>The kernel's error number, or 0.</summary>
    public int Errno { get; }

    /// <summary>An error number in words, for messages.</summary>
    /// <param name="errno">The kernel's error number.</param>
    protected static string Describe(int errno) => $"errno {errno}: {Marshal.GetPInvokeErrorMessage(errno)}";
}
