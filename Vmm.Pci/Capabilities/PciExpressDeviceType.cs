namespace Vmm.Pci.Capabilities;

/// <summary>The Device/Port Type of the PCI Express capability (PCIe base, 7.5.3.2).</summary>
public enum PciExpressDeviceType
{
    /// <summary>An endpoint below a port.</summary>
    Endpoint = 0,

    /// <summary>A port of the root complex, with a link below it.</summary>
    RootPort = 4,

    /// <summary>An endpoint on a root bus: it has no link.</summary>
    RootComplexIntegratedEndpoint = 9,
}
