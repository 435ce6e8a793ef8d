using System.Collections.Generic;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Spec;

namespace Vmm.Conformance.Driving;

/// <summary>What a function's configuration space says of it, read without changing anything.</summary>
public sealed class PciFacts
{
    private const int MaximumCapabilities = 48;

    private PciFacts()
    {
    }

    /// <summary>The capability list; a list that does not end is cut off.</summary>
    public IReadOnlyList<PciCapabilityEntry> Capabilities { get; private set; } = [];

    /// <summary>True if the list ends.</summary>
    public bool CapabilitiesEnd { get; private set; }

    /// <summary>The base address registers that a BAR begins at.</summary>
    public IReadOnlyList<PciBarFacts> Bars { get; private set; } = [];

    /// <summary>Offset of the MSI-X capability, or 0.</summary>
    public int Msix => Find(CapabilityIds.Msix);

    /// <summary>Vectors of the MSI-X capability; 0 without it.</summary>
    public int MsixVectors { get; private set; }

    /// <summary>BAR and offset of the MSI-X table.</summary>
    public (int Bar, uint Offset) MsixTable { get; private set; }

    /// <summary>BAR and offset of the pending bit array.</summary>
    public (int Bar, uint Offset) MsixPending { get; private set; }

    /// <summary>Offset of the window in configuration space (virtio 1.2, 4.1.4.9), or 0.</summary>
    public int Window { get; private set; }

    /// <summary>Reads them.</summary>
    /// <param name="access">The function.</param>
    public static PciFacts Read(IPciFunctionAccess access)
    {
        System.ArgumentNullException.ThrowIfNull(access);
        var facts = new PciFacts();
        facts.ReadCapabilities(access);
        facts.ReadBars(access);
        if (facts.Msix is int msix and not 0)
        {
            facts.MsixVectors = ((int)access.ReadConfiguration(msix + 2, 2) & 0x7ff) + 1;
            facts.MsixTable = Location(access.ReadConfiguration(msix + 4, 4));
            facts.MsixPending = Location(access.ReadConfiguration(msix + 8, 4));
        }

        facts.Window = facts.FindVirtio(access, VirtioPciCapabilityType.PciConfigurationAccess).FirstOrDefault().Offset;
        return facts;
    }

    /// <summary>Offset of the first capability with an id, or 0.</summary>
    /// <param name="id">The id.</param>
    public int Find(int id) => Capabilities.FirstOrDefault(c => c.Id == id).Offset;

    /// <summary>Virtio's capabilities of one type.</summary>
    /// <param name="access">The function.</param>
    /// <param name="type">The type.</param>
    public IEnumerable<PciCapabilityEntry> FindVirtio(IPciFunctionAccess access, VirtioPciCapabilityType type)
    {
        return Capabilities.Where(c => c.Id == CapabilityIds.VendorSpecific && access.ReadConfiguration(c.Offset + 3, 1) == (uint)type);
    }

    private static (int Bar, uint Offset) Location(uint word) => ((int)(word & 7), word & ~7u);

    private void ReadCapabilities(IPciFunctionAccess access)
    {
        if (((PciStatus)access.ReadConfiguration(ConfigurationRegisters.Status, 2) & PciStatus.CapabilitiesList) == 0)
        {
            CapabilitiesEnd = true;
            return;
        }

        var found = new List<PciCapabilityEntry>();
        int at = (int)access.ReadConfiguration(ConfigurationRegisters.CapabilitiesPointer, 1) & 0xfc;
        while (at >= ConfigurationRegisters.FirstCapability && found.Count < MaximumCapabilities)
        {
            int next = (int)access.ReadConfiguration(at + 1, 1);
            found.Add(new PciCapabilityEntry(at, (int)access.ReadConfiguration(at, 1), next));
            at = next & 0xfc;
        }

        Capabilities = found;
        CapabilitiesEnd = at == 0;
    }

    private void ReadBars(IPciFunctionAccess access)
    {
        var found = new List<PciBarFacts>();
        for (int i = 0; i < 6; i++)
        {
            uint low = access.ReadConfiguration(ConfigurationRegisters.Bar0 + (4 * i), 4);
            bool isPort = (low & 1) != 0;
            bool isWide = !isPort && (low & 6) == 4;
            ulong length = access.GetBarLength(i);
            if (isPort || length != 0)
            {
                found.Add(new PciBarFacts(i, isPort, isWide, (low & 8) != 0 && !isPort, length));
            }

            i += isWide ? 1 : 0;
        }

        Bars = found;
    }
}
