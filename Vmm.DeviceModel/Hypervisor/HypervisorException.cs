using System;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>The hypervisor or the kernel refused a step. Thrown at set-up and from transactions, never out of a guest access.</summary>
public sealed class HypervisorException : Exception
{
    /// <summary>Names the step and the errno.</summary>
    /// <param name="step">What was tried, for example <c>KVM_SET_USER_MEMORY_REGION</c>.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">What it was about and what to do about it.</param>
    public HypervisorException(string step, int errno, string detail)
        : base(errno == 0 ? $"{step}: {detail}" : $"{step}: {detail} (errno {errno}: {Marshal(errno)})")
    {
        Step = step;
        Errno = errno;
    }

    /// <summary>What was tried.</summary>
    public string Step { get; }

    /// <summary>The kernel's error number, or 0.</summary>
    public int Errno { get; }

    private static string Marshal(int errno) => System.Runtime.InteropServices.Marshal.GetPInvokeErrorMessage(errno);
}
