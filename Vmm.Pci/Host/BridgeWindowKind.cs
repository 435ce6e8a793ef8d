namespace Vmm.Pci.Host;

/// <summary>The three windows of a bridge.</summary>
internal enum BridgeWindowKind
{
    Memory,
    Prefetchable,
    Io,
}
