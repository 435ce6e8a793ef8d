namespace Vmm.Pci.Access;

/// <summary>A device's identity as the host knows it, beyond the device's registers.</summary>
/// <param name="VendorId">Vendor ID; of a virtual function that of its physical one.</param>
/// <param name="DeviceId">Device ID; of a virtual function what the SR-IOV capability of its physical one says.</param>
/// <param name="PhysicalFunction">The address of the physical function whose virtual function this is (SR-IOV), or null for any other device.</param>
public sealed record HostIdentity(ushort VendorId, ushort DeviceId, string? PhysicalFunction);
