using Vmm.DeviceModel;

namespace Vmm.Virtio.Devices;

/// <summary>
/// The file or interface behind a device cannot be used. Thrown when it is opened, or changed by its embedder; never out of a guest's request.
/// </summary>
public sealed class BackendException : HostException
{
    /// <summary>Names what failed and why.</summary>
    /// <param name="step">The call that failed, for example <c>open</c>.</param>
    /// <param name="path">The file or interface.</param>
    /// <param name="errno">The kernel's error number, or 0.</param>
    /// <param name="detail">The reason, and what to do about it.</param>
    public BackendException(string step, string path, int errno, string detail)
        : base(errno == 0 ? $"{path}: {detail}" : $"{path}: {detail} ({step}: {Describe(errno)})", step, path, errno)
    {
    }
}
