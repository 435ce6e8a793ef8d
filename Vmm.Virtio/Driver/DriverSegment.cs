namespace Vmm.Virtio.Driver;

/// <summary>One piece of a request.</summary>
/// <param name="Iova">Where the device finds it.</param>
/// <param name="Length">Bytes, at least 1.</param>
/// <param name="DeviceWrites">The device writes it rather than reads it; such pieces come last.</param>
public readonly record struct DriverSegment(ulong Iova, uint Length, bool DeviceWrites);
