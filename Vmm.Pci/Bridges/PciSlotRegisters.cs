namespace Vmm.Pci.Bridges;

/// <summary>Slot Control (low half) and Slot Status (high half) as one 32-bit register (PCIe base, 7.5.3.10 and 7.5.3.11).</summary>
internal static class PciSlotRegisters
{
    public const uint HotPlugInterruptEnable = 1 << 5;
    public const int AttentionIndicatorShift = 6;
    public const int PowerIndicatorShift = 8;
    public const uint PowerIndicatorBits = 3u << PowerIndicatorShift;
    public const uint PowerControllerControl = 1 << 10;

    public const uint AttentionButtonPressed = 1u << 16;
    public const uint PresenceDetectChanged = 1u << 19;
    public const uint CommandCompleted = 1u << 20;
    public const uint PresenceDetectState = 1u << 22;
    public const uint LinkStateChanged = 1u << 24;

    /// <summary>Enable bits of all events but the link's, which sit at the same places of both halves.</summary>
    public const uint EventEnables = 0x1f;

    public const uint LinkStateChangedEnable = 1 << 12;

    /// <summary>Everything of Slot Status that software clears by writing ones.</summary>
    public const uint StatusEvents = 0x11f;

    /// <summary>True while an enabled event waits: the condition of the hot-plug interrupt (PCIe base, 6.7.3.4).</summary>
    public static bool Interrupts(uint register)
    {
        bool waits = ((register >> 16) & register & EventEnables) != 0
            || ((register & LinkStateChanged) != 0 && (register & LinkStateChangedEnable) != 0);
        return waits && (register & HotPlugInterruptEnable) != 0;
    }
}
