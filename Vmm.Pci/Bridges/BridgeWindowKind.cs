namespace Vmm.Pci.Bridges;

/// <summary>The three windows of a bridge.</summary>
internal enum BridgeWindowKind
{
    Memory,
    Prefetchable,
    Io,
}
