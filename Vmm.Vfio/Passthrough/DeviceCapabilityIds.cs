namespace Vmm.Vfio.Passthrough;

/// <summary>Capability IDs that a passed-through function treats in a way of its own (PCI Code and ID Assignment Specification).</summary>
internal static class DeviceCapabilityIds
{
    /// <summary>Standard: Advanced Features, with a reset for conventional functions.</summary>
    public const int AdvancedFeatures = 0x13;

    private const int Null = 0x0000;
    private const int AlternativeRoutingId = 0x000e;
    private const int SingleRootVirtualization = 0x0010;
    private const int MultiRootVirtualization = 0x0011;
    private const int ResizableBar = 0x0015;
    private const int VirtualFunctionResizableBar = 0x0024;
    private const int NotThere = 0xffff;

    /// <summary>
    /// Extended capabilities that a guest must not see: they would change which functions there are and how big BARs are behind our back (VFIO-6).
    /// </summary>
    public static bool IsHidden(int extendedId)
    {
        return extendedId is Null or AlternativeRoutingId or SingleRootVirtualization or MultiRootVirtualization or ResizableBar
            or VirtualFunctionResizableBar or NotThere;
    }

    /// <summary>How many bytes of a hidden extended capability read zero; where the length depends on the device, the most that it can be.</summary>
    public static int HiddenLength(int extendedId)
    {
        return extendedId switch
        {
            SingleRootVirtualization => 0x40,
            MultiRootVirtualization => 0x10,
            AlternativeRoutingId => 8,
            ResizableBar or VirtualFunctionResizableBar => 4 + (6 * 8),
            _ => 4,
        };
    }
}
