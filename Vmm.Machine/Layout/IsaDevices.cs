namespace Vmm.Machine.Layout;

/// <summary>Ports and interrupts of the devices that every PC has at the same place.</summary>
internal static class IsaDevices
{
    /// <summary>COM1, 8 ports.</summary>
    public const ushort SerialPort = 0x3F8;

    /// <summary>Interrupt of COM1.</summary>
    public const int SerialGsi = 4;

    /// <summary>Index and data port of the clock and its memory.</summary>
    public const ushort RealTimeClock = 0x70;

    /// <summary>Interrupt of the clock.</summary>
    public const int RealTimeClockGsi = 8;

    /// <summary>Power-on self test codes: written by firmware and as a delay, read by nobody.</summary>
    public const ushort PostCode = 0x80;

    /// <summary>Data port of the keyboard controller.</summary>
    public const ushort KeyboardData = 0x60;

    /// <summary>Command and status port of the keyboard controller.</summary>
    public const ushort KeyboardCommand = 0x64;

    /// <summary>Interrupt of ACPI events; level-triggered.</summary>
    public const int AcpiGsi = 9;
}
