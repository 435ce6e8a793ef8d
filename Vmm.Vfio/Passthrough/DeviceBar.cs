using Vmm.Pci.Access;
using Vmm.Pci.Bars;

namespace Vmm.Vfio.Passthrough;

/// <summary>A BAR of a device, from its region's size and the type bits of its register.</summary>
/// <param name="Index">0 to 5, or <see cref="PciBar.RomIndex"/>.</param>
/// <param name="Kind">What it addresses.</param>
/// <param name="Prefetchable">Memory without read side effects.</param>
/// <param name="Region">What the device says of it; the size is a power of two that a BAR can have.</param>
public sealed record DeviceBar(int Index, PciBarKind Kind, bool Prefetchable, BackendRegion Region);
