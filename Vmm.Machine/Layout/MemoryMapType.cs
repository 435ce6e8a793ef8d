namespace Vmm.Machine.Layout;

/// <summary>Address range types of the ACPI specification, section 15.</summary>
public enum MemoryMapType
{
    /// <summary>Memory that the operating system may use.</summary>
    Ram = 1,

    /// <summary>Not to be used.</summary>
    Reserved = 2,

    /// <summary>Holds ACPI tables; usable once they were read.</summary>
    AcpiReclaimable = 3,
}
