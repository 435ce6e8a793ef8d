namespace Vmm.Machine.Devices;

/// <summary>The ACPI fixed hardware registers (ACPI 6.4, section 4.8) and the reset register, in one block of ports.</summary>
internal static class PowerRegisters
{
    /// <summary>First port.</summary>
    public const ushort BasePort = 0x600;

    /// <summary>Ports of the block.</summary>
    public const byte Length = 0x10;

    /// <summary>PM1a status (2 bytes) and enable (2 bytes).</summary>
    public const ushort EventOffset = 0x0;

    /// <summary>PM1a control, 2 bytes.</summary>
    public const ushort ControlOffset = 0x4;

    /// <summary>PM timer, 4 bytes.</summary>
    public const ushort TimerOffset = 0x8;

    /// <summary>Reset register, 1 byte.</summary>
    public const ushort ResetOffset = 0xC;

    /// <summary>What resets the machine when it is written to the reset register.</summary>
    public const byte ResetValue = 0x01;

    /// <summary>SLP_TYP of S5, soft off.</summary>
    public const int SleepTypeOff = 5;
}
