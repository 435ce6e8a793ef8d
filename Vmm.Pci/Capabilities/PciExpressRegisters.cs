namespace Vmm.Pci.Capabilities;

/// <summary>Offsets in the PCI Express capability, version 2 (PCIe base, 7.5.3).</summary>
internal static class PciExpressRegisters
{
    public const int Length = 0x3c;
    public const int Flags = 0x02;
    public const int DeviceCapabilities = 0x04;
    public const int DeviceControl = 0x08;
    public const int DeviceStatus = 0x0a;
    public const int LinkCapabilities = 0x0c;
    public const int LinkControl = 0x10;
    public const int LinkStatus = 0x12;
    public const int SlotCapabilities = 0x14;
    public const int SlotControl = 0x18;
    public const int SlotStatus = 0x1a;
    public const int RootControl = 0x1c;
    public const int RootStatus = 0x20;
    public const int DeviceCapabilities2 = 0x24;
    public const int DeviceControl2 = 0x28;
    public const int LinkCapabilities2 = 0x2c;
    public const int LinkControl2 = 0x30;
}
