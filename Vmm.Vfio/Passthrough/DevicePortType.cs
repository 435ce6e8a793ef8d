namespace Vmm.Vfio.Passthrough;

/// <summary>Device/Port Type of the PCI Express capability, as far as endpoints have it (PCIe base, 7.5.3.2).</summary>
internal enum DevicePortType
{
    /// <summary>An endpoint behind a port.</summary>
    Endpoint = 0,

    /// <summary>One with habits of conventional PCI.</summary>
    LegacyEndpoint = 1,

    /// <summary>Part of the root complex, without a link.</summary>
    RootComplexIntegratedEndpoint = 9,
}
