using System;
using System.Runtime.InteropServices;

namespace Vmm.Vfio;

/// <summary>The host refused a step on the way to a device. Thrown at attach, detach and from transactions, never out of a guest access.</summary>
public sealed class VfioException : Exception
{
    /// <summary>Names step, path and errno.</summary>
    /// <param name="step">What was tried, for example <c>VFIO_GROUP_SET_CONTAINER</c>.</param>
    /// <param name="path">The device, group or file that it was about.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">What is wrong and what helps.</param>
    public VfioException(string step, string path, int errno, string detail)
        : base(errno == 0 ? $"{path}: {step}: {detail}" : $"{path}: {step}: {detail} (errno {errno}: {Marshal.GetPInvokeErrorMessage(errno)})")
    {
        (Step, Path, Errno) = (step, path, errno);
    }

    /// <summary>What was tried.</summary>
    public string Step { get; }

    /// <summary>The device, group or file.</summary>
    public string Path { get; }

    /// <summary>The kernel's error number, or 0.</summary>
    public int Errno { get; }
}
