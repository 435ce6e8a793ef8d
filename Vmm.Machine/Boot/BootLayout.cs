namespace Vmm.Machine.Boot;

/// <summary>Where the loader leaves what the kernel reads at its start: all of it below 640 KiB, which no kernel is loaded into.</summary>
internal static class BootLayout
{
    /// <summary>Global descriptor table, 6 entries.</summary>
    public const ulong Gdt = 0x500;

    /// <summary>Entries of the table.</summary>
    public const int GdtEntries = 6;

    /// <summary>Selector of the code segment (__BOOT_CS of the boot protocol).</summary>
    public const ushort CodeSelector = 0x10;

    /// <summary>Selector of the data segment (__BOOT_DS).</summary>
    public const ushort DataSelector = 0x18;

    /// <summary>Selector of the task state segment.</summary>
    public const ushort TaskSelector = 0x20;

    /// <summary>PVH start information, then its modules and its memory map.</summary>
    public const ulong StartInfo = 0x6000;

    /// <summary>PVH module list.</summary>
    public const ulong Modules = 0x6040;

    /// <summary>PVH memory map.</summary>
    public const ulong StartInfoMemoryMap = 0x6100;

    /// <summary>Boot parameters of the Linux boot protocol, one page.</summary>
    public const ulong BootParameters = 0x7000;

    /// <summary>Page map level 4; the other levels follow, 6 pages in all.</summary>
    public const ulong PageTables = 0x9000;

    /// <summary>Command line with its terminating zero.</summary>
    public const ulong CommandLine = 0x2_0000;

    /// <summary>The longest command line there is room for.</summary>
    public const int CommandLineLimit = 0xFFFF;
}
