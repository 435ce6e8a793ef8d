using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>The configuration header (PCI 3.0, 6.1 and 6.2).</summary>
internal static class HeaderChecks
{


    public static CheckGroup Group { get; } = new("PCI configuration header", "PCI 3.0")
    {
        { "PCI-HEADER-VENDOR", "6.2.1", "The vendor id is that of a vendor: neither all ones nor zero", Vendor },
        { "PCI-HEADER-TYPE", "6.2.1", "The header layout is type 0", HeaderType },
        { "PCI-HEADER-WIDTHS", "3.2.2.3.3", "Configuration reads of 1, 2 and 4 bytes agree with each other", Widths },
    };

    private static void Vendor(CheckContext check)
    {
        uint vendor = check.Access.ReadConfiguration(Reg.VendorId, 2);
        check.Require(vendor is not (0 or 0xffff), "a vendor id", CheckContext.Hex(vendor));
    }

    private static void HeaderType(CheckContext check) =>
        check.Equal("header type without the multi-function bit", 0, check.Access.ReadConfiguration(Reg.HeaderType, 1) & 0x7f);

    private static void Widths(CheckContext check)
    {
        // Registers beyond the header may have effects when they are read in parts.
        for (int offset = 0; offset < Reg.FirstCapability; offset += 4)
        {
            uint whole = check.Access.ReadConfiguration(offset, 4);
            uint halves = check.Access.ReadConfiguration(offset, 2) | (check.Access.ReadConfiguration(offset + 2, 2) << 16);
            uint bytes = 0;
            for (int i = 0; i < 4; i++)
            {
                bytes |= check.Access.ReadConfiguration(offset + i, 1) << (8 * i);
            }

            check.Equal($"two 2-byte reads at {CheckContext.Hex((uint)offset)}", whole, halves);
            check.Equal($"four 1-byte reads at {CheckContext.Hex((uint)offset)}", whole, bytes);
        }
    }
}
