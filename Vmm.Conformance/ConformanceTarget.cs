using Vmm.Pci.Access;
using Vmm.Virtio.Devices;

namespace Vmm.Conformance;

/// <summary>A function to check, and what is known of it that it cannot say itself.</summary>
public sealed record ConformanceTarget
{
    /// <summary>Shown in reports.</summary>
    public required string Name { get; init; }

    /// <summary>The way to the function. Nobody else uses the function during a run; the caller closes it afterwards.</summary>
    public required IPciFunctionAccess Access { get; init; }

    /// <summary>What the way lets through.</summary>
    public TargetReach Reach { get; init; }

    /// <summary>
    /// The function is known to be a virtio device, whatever its ids say: wrong ones are failures then. Without it a function whose vendor and
    /// device id are none of virtio's is checked as a PCI function alone.
    /// </summary>
    public bool IsVirtio { get; init; }

    /// <summary>The virtio device type that the function is known to be: another one in its ids is a failure. Null believes the ids.</summary>
    public VirtioDeviceType? Kind { get; init; }

    /// <summary>
    /// How one request to the device looks. Of a device type that the suite does not know nothing is asked without it, and a run that asks nothing of
    /// any queue has not passed (<see cref="ConformanceReport.NothingAsked"/>).
    /// </summary>
    public QueueWork? Work { get; init; }

    /// <summary>What the device stores may be overwritten. Without it nothing is written to a medium.</summary>
    public bool IsScratch { get; init; }
}
