using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Host;

/// <summary>A range that a function of a bus needs: a BAR, or a window of a bridge.</summary>
/// <param name="Function">Whose it is.</param>
/// <param name="Index">Index of the BAR; from <see cref="WindowIndex"/> on the windows of a bridge.</param>
/// <param name="Size">Bytes, a power of two; the range is aligned to it.</param>
/// <param name="Space">Memory or ports.</param>
/// <param name="High">The range may lie above 4 GiB.</param>
/// <param name="Prefetchable">The range may lie in a prefetchable window.</param>
internal readonly record struct ResourceRequest(PciFunction Function, int Index, ulong Size, AddressSpaceKind Space, bool High, bool Prefetchable)
{
    public const int WindowIndex = 16;

    public string What => Index < WindowIndex ? $"BAR {Index}" : $"its {(BridgeWindowKind)(Index - WindowIndex)} window";
}
