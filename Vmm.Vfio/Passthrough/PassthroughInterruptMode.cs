namespace Vmm.Vfio.Passthrough;

/// <summary>How a passed-through device interrupts now.</summary>
public enum PassthroughInterruptMode
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>By its pin.</summary>
    Pin,

    /// <summary>By MSI.</summary>
    Msi,

    /// <summary>By MSI-X.</summary>
    Msix,
}
