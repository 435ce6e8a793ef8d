using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Host;

/// <summary>What a <see cref="PciBridge"/> is made with. The sizes are what firmware gives it at least, for functions that come later.</summary>
public record PciBridgeOptions
{
    /// <summary>Shown in logs next to the address.</summary>
    public string Name { get; init; } = "bridge";

    /// <summary>The INTx pin of the bridge itself, or none. What comes from behind it passes in any case.</summary>
    public InterruptPin Pin { get; init; }

    /// <summary>Least bytes of the memory window (32 bit); 0 for what the functions behind need.</summary>
    public ulong MemoryWindow { get; init; }

    /// <summary>Least bytes of the prefetchable window (64 bit); 0 for what the functions behind need.</summary>
    public ulong PrefetchableWindow { get; init; }

    /// <summary>Least bytes of the I/O window; 0 for what the functions behind need.</summary>
    public ulong IoWindow { get; init; }

    /// <summary>How many bus numbers firmware keeps free behind the bridge's own secondary bus.</summary>
    public int ReservedBuses { get; init; }
}
