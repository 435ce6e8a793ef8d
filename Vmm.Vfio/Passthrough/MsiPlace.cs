using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>A device's MSI capability.</summary>
/// <param name="Capability">Its entry in the list.</param>
/// <param name="VectorCount">1, 2, 4, 8, 16 or 32.</param>
/// <param name="Is64Bit">The address has 64 bits.</param>
/// <param name="HasPerVectorMasking">There are mask and pending bits.</param>
public sealed record MsiPlace(DeviceCapability Capability, int VectorCount, bool Is64Bit, bool HasPerVectorMasking);
