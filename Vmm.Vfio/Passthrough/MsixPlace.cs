using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>A device's MSI-X structures: checked to lie inside memory BARs and not to overlap.</summary>
/// <param name="Capability">Its entry in the list.</param>
/// <param name="VectorCount">Entries of the table.</param>
/// <param name="Limit">How many of them the device can signal.</param>
/// <param name="TableBar">BAR of the table.</param>
/// <param name="TableOffset">Offset there.</param>
/// <param name="PendingBar">BAR of the pending bit array.</param>
/// <param name="PendingOffset">Offset there.</param>
public sealed record MsixPlace(
    DeviceCapability Capability,
    int VectorCount,
    int Limit,
    int TableBar,
    uint TableOffset,
    int PendingBar,
    uint PendingOffset);
