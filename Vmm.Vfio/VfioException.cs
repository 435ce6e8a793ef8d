using Vmm.DeviceModel;

namespace Vmm.Vfio;

/// <summary>The host refused a step on the way to a device. Thrown at attach, detach and from transactions, never out of a guest access.</summary>
public sealed class VfioException : HostException
{
    /// <summary>Names step, path and errno.</summary>
    /// <param name="step">The call that failed, for example <c>VFIO_GROUP_SET_CONTAINER</c>.</param>
    /// <param name="path">The device, group or file that it was about.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">The reason, and what helps.</param>
    public VfioException(string step, string path, int errno, string detail)
        : base(errno == 0 ? $"{path}: {step}: {detail}" : $"{path}: {step}: {detail} ({Describe(errno)})", step, path, errno)
    {
    }
}
