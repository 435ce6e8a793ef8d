namespace Vmm.Machine.Boot;

/// <summary>How a kernel is entered.</summary>
public enum BootProtocol
{
    /// <summary>The 64-bit entry of the Linux boot protocol: long mode, paging on, RSI points at the boot parameters.</summary>
    Linux64,

    /// <summary>
    /// The entry named by the XEN_ELFNOTE_PHYS32_ENTRY note: 32-bit protected mode, paging off, EBX points at the start information.
    /// </summary>
    Pvh,
}
