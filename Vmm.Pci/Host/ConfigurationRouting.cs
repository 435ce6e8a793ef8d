namespace Vmm.Pci.Host;

/// <summary>The way of a configuration access to a bus behind bridges: where their bus numbers say, as they are at that moment (PCI-12).</summary>
internal static class ConfigurationRouting
{
    /// <summary>The function with a bus number and place, behind the bridges of a bus, or null.</summary>
    public static PciFunction? Find(PciBus from, int bus, int deviceFunction)
    {
        PciBus at = from;
        while (true)
        {
            PciBridge? next = null;
            foreach (PciBridge bridge in at.Bridges)
            {
                if (bus >= bridge.SecondaryBusNumber && bus <= bridge.SubordinateBusNumber)
                {
                    next = bridge;
                    break;
                }
            }

            if (next is null || !next.IsForwarding)
            {
                return null;
            }

            at = next.Secondary;
            if (bus == next.SecondaryBusNumber)
            {
                return at.Find(deviceFunction);
            }
        }
    }
}
