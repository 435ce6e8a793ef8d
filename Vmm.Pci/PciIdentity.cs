namespace Vmm.Pci;

/// <summary>What a function says it is.</summary>
public sealed record PciIdentity
{
    /// <summary>Vendor ID.</summary>
    public required ushort VendorId { get; init; }

    /// <summary>Device ID.</summary>
    public required ushort DeviceId { get; init; }

    /// <summary>Class code: base class &lt;&lt; 16 | sub-class &lt;&lt; 8 | programming interface.</summary>
    public required uint ClassCode { get; init; }

    /// <summary>Revision ID.</summary>
    public byte RevisionId { get; init; }

    /// <summary>Subsystem vendor ID.</summary>
    public ushort SubsystemVendorId { get; init; }

    /// <summary>Subsystem ID.</summary>
    public ushort SubsystemId { get; init; }
}
