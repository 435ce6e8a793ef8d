namespace Vmm.Virtio.Devices;

/// <summary>How an <see cref="EntropyDevice"/> is made.</summary>
public sealed record EntropyDeviceOptions : VirtioDeviceOptions
{
    /// <summary>File or device that the bytes come from.</summary>
    public string Source { get; init; } = "/dev/urandom";
}
