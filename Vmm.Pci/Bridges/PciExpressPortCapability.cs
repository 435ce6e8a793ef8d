using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Pci.Bridges;

/// <summary>
/// The PCI Express capability of a root port with a slot: the parts of it that a link and a slot add (PCIe base, 7.5.3.6 to 7.5.3.13).
/// </summary>
internal sealed class PciExpressPortCapability : PciExpressCapability
{
    public const uint LinkDisable = 1 << 4;
    public const uint LinkActive = 1u << 29;

    private readonly PciRootPort _port;

    public PciExpressPortCapability(PciRootPort port, PciRootPortOptions options)
        : base(PciExpressDeviceType.RootPort, functionLevelReset: false)
    {
        _port = port;
        Define(PciExpressRegisters.Flags, 2, 2 | ((uint)PciExpressDeviceType.RootPort << 4) | 0x100);

        // Data Link Layer Link Active Reporting; the port's number is the slot's.
        Define(PciExpressRegisters.LinkCapabilities, 4, LinkCapabilitiesValue | (1u << 20) | (((uint)options.SlotNumber & 0xff) << 24));
        Define(PciExpressRegisters.LinkControl, 2, 0, writable: 0xd3);
        uint features = 0;
        uint control = 0;
        if (options.HotPlug)
        {
            // Attention and power indicators, surprise removal, hot-plug; command completed is supported (bit 18 clear).
            features = 0x78 | (options.AttentionButton ? 1u : 0) | (options.PowerController ? 2u : 0);
            control = 0x13f8 | (options.AttentionButton ? 1u : 0) | (options.PowerController ? PciSlotRegisters.PowerControllerControl : 0);
        }

        uint dark = ((uint)SlotIndicator.Off << PciSlotRegisters.AttentionIndicatorShift)
            | ((uint)SlotIndicator.Off << PciSlotRegisters.PowerIndicatorShift);
        Define(PciExpressRegisters.SlotCapabilities, 4, features | ((uint)options.SlotNumber << 19));
        Define(
            PciExpressRegisters.SlotControl, 2, options.HotPlug ? dark | (control & PciSlotRegisters.PowerControllerControl) : 0, writable: control);
        Define(PciExpressRegisters.SlotStatus, 2, 0, writeOneToClear: options.HotPlug ? PciSlotRegisters.StatusEvents : 0);
        Define(PciExpressRegisters.RootControl, 2, 0, writable: 0xf);
        Define(PciExpressRegisters.RootStatus, 4, 0, writeOneToClear: 1 << 16);
    }

    protected internal override void OnWritten(int offset, in ConfigurationWrite write)
    {
        base.OnWritten(offset, write);
        if (offset == PciExpressRegisters.SlotControl)
        {
            _port.SlotWritten(write);
        }
        else if (offset == PciExpressRegisters.LinkControl && (write.Changed & LinkDisable) != 0)
        {
            _port.LinkConditionChanged();
        }
    }
}
