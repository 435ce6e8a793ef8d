namespace Vmm.Machine.Catalogue;

/// <summary>A virtio memory balloon.</summary>
/// <param name="Size">Bytes that the guest is asked to give up from the start; whole pages of 4 KiB.</param>
/// <param name="DeflateOnOom">The guest may take pages back by itself when it has no memory left.</param>
/// <param name="FreePageReporting">The guest reports pages that it does not use, and the host has them until they are touched.</param>
public sealed record BalloonOptions(ulong Size = 0, bool DeflateOnOom = false, bool FreePageReporting = false) : VirtioOptions;
