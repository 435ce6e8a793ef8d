using System;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>
/// Tells the hypervisor by which files the machine has devices of the host: it learns whether their DMA is coherent with the processors' caches, and
/// their drivers in the host learn which machine they serve.
/// </summary>
public interface IHostDeviceFiles
{
    /// <summary>Tells of a file, before the device that it gives is opened.</summary>
    /// <param name="descriptor">
    /// An IOMMU group that is in a container, or a device that was opened by itself. It stays open until the result is disposed.
    /// </param>
    /// <returns>The registration; disposing ends exactly it, and never throws.</returns>
    /// <exception cref="HostException">The hypervisor refused.</exception>
    IDisposable Add(int descriptor);
}
