using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.Access;

/// <summary>
/// A PCI device that somebody else gives us: the kernel through VFIO, or another process. What a passed-through function is made over.
/// </summary>
/// <remarks>
/// Regions and interrupts are asked for once, at attach. <see cref="TryRead"/> and <see cref="TryWrite"/> come from vCPU threads, several at once;
/// everything else from one thread at a time. Nothing here knows of a guest.
/// </remarks>
public interface IPciDeviceBackend : IDisposable
{
    /// <summary>Names the device in messages, for example <c>0000:00:10.0</c>.</summary>
    string Name { get; }

    /// <summary>The device's identity as the host knows it; null if it knows none.</summary>
    HostIdentity? Identity { get; }

    /// <summary>Whether <see cref="Reset"/> can work. Such a device comes reset, and disposing the backend resets it once more (VFIO-10).</summary>
    bool CanReset { get; }

    /// <summary>Where the device masters memory.</summary>
    IDmaMapper Dma { get; }

    /// <summary>Describes a region.</summary>
    /// <param name="index">A BAR by its number, the ROM or configuration space.</param>
    /// <returns>A size of 0 where there is none.</returns>
    /// <exception cref="HostException">The device cannot be asked, or answers nonsense.</exception>
    BackendRegion GetRegion(PciRegionIndex index);

    /// <summary>Describes an interrupt of the device.</summary>
    /// <param name="index">Which kind.</param>
    /// <returns>A count of 0 where there is none.</returns>
    /// <exception cref="HostException">The device cannot be asked.</exception>
    BackendInterrupt GetInterrupt(PciInterruptIndex index);

    /// <summary>Reads from the device by one access of exactly this width.</summary>
    /// <param name="region">Which region.</param>
    /// <param name="offset">Offset in it, in bytes; inside the region.</param>
    /// <param name="destination">1, 2, 4 or 8 bytes, little-endian.</param>
    /// <returns>False if the device did not answer (VFIO-13). Never throws.</returns>
    bool TryRead(PciRegionIndex region, ulong offset, Span<byte> destination);

    /// <summary>Writes to the device by one access of exactly this width.</summary>
    /// <param name="region">Which region.</param>
    /// <param name="offset">Offset in it, in bytes; inside the region.</param>
    /// <param name="source">1, 2, 4 or 8 bytes, little-endian.</param>
    /// <returns>False if the device did not take it (VFIO-13). Never throws.</returns>
    bool TryWrite(PciRegionIndex region, ulong offset, ReadOnlySpan<byte> source);

    /// <summary>Maps a part of a region into this process.</summary>
    /// <param name="region">Which region; one that says it can be mapped.</param>
    /// <param name="area">Page-aligned, inside one area that the region names.</param>
    /// <param name="writable">Map for writing too.</param>
    /// <exception cref="HostException">The device or the kernel refuses.</exception>
    HostMemory Map(PciRegionIndex region, RegionArea area, bool writable);

    /// <summary>
    /// Has the device signal eventfds, from the next event on; those outside the range stay as they are. Enables the kind of interrupt.
    /// </summary>
    /// <param name="index">Which kind.</param>
    /// <param name="start">The first interrupt of the kind.</param>
    /// <param name="triggers">One each; null for one that signals nothing.</param>
    /// <returns>
    /// The number of <paramref name="triggers"/> when they are set. A smaller one, at least 1, if the kind was disabled and the host has only so many
    /// from the first on: nothing is enabled then, and so many can be asked for. Only messages and MSI-X vectors can be fewer.
    /// </returns>
    /// <exception cref="HostException">Refused; what signalled before may be off, see VFIO-8 for who restores it.</exception>
    int SetTriggers(PciInterruptIndex index, int start, ReadOnlySpan<EventFd?> triggers);

    /// <summary>Disables a kind of interrupt as a whole. Does nothing if it is not enabled.</summary>
    /// <param name="index">Which kind.</param>
    /// <exception cref="HostException">Refused.</exception>
    void DisableInterrupts(PciInterruptIndex index);

    /// <summary>Masks or unmasks the pin now.</summary>
    /// <param name="masked">True for masked.</param>
    /// <exception cref="HostException">Refused.</exception>
    void MaskPin(bool masked);

    /// <summary>Unmasks the pin whenever an eventfd is signalled: the guest has acknowledged the level (VFIO-8).</summary>
    /// <param name="resample">The eventfd, or null to end that.</param>
    /// <exception cref="HostException">Refused.</exception>
    void SetPinUnmask(EventFd? resample);

    /// <summary>Resets the device: by function-level reset or what else reaches this device alone.</summary>
    /// <exception cref="HostException">There is no such reset, or it failed.</exception>
    void Reset();

    /// <summary>
    /// Resets the device with its whole bus or slot, if every device that this reaches is ours and no other of them is in use (VFIO-10).
    /// </summary>
    /// <returns>Null if it was done, else why not.</returns>
    string? TryHotReset();
}
