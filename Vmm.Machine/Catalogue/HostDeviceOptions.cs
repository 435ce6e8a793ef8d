namespace Vmm.Machine.Catalogue;

/// <summary>A PCI device of the host that the guest gets.</summary>
/// <param name="Path">Its directory in sysfs, for example <c>/sys/bus/pci/devices/0000:00:10.0</c>; it is bound to vfio-pci.</param>
/// <param name="MapBars">Gives the guest mappings of the BARs; without, every access exits.</param>
/// <param name="StopOnError">An uncorrectable error of the device ends the machine; otherwise it is only logged.</param>
public sealed record HostDeviceOptions(string Path, bool MapBars = true, bool StopOnError = true) : DeviceOptions
{
    /// <summary>Takes the device by itself, through an iommufd (Linux 6.6), instead of through its group and a container.</summary>
    public bool Iommufd { get; init; }

    /// <summary>
    /// The clique of GPUs that reach each other directly, 0 to 15, or null. Their BARs are mapped for each other as with <see cref="PeerToPeer"/>;
    /// where that cannot be, the machine is not made.
    /// </summary>
    public int? GpuDirectClique { get; init; }

    /// <summary>Lets the machine's other host devices reach the BARs, as far as the host can do that.</summary>
    public bool PeerToPeer { get; init; }
}
