using System.Threading;

namespace Vmm.Pci.Host;

/// <summary>What all buses below one host bridge share: the lock of the topology, and under it the lock of what decodes.</summary>
internal sealed class PciHierarchy
{
    public Lock Topology { get; } = new();

    public Lock Mapping { get; } = new();

    /// <summary>The host bridge is being disposed: nothing joins any more. Guarded by <see cref="Topology"/>.</summary>
    public bool IsClosed { get; set; }
}
