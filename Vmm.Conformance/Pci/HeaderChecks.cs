using static Vmm.Conformance.CheckContext;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>The configuration header (PCI 3.0, 6.1 and 6.2).</summary>
internal static class HeaderChecks
{
    public static CheckGroup Group { get; } = new("PCI configuration header", "PCI 3.0")
    {
        { "PCI-HEADER-VENDOR", "6.2.1", "The vendor id is that of a vendor: neither all ones nor zero", Vendor },
        { "PCI-HEADER-TYPE", "6.2.1", "The header layout is type 0", HeaderType },
        { "PCI-HEADER-WIDTHS", "3.2.2.3", "Configuration reads of 1, 2 and 4 bytes agree with each other", Widths },
        { "PCI-HEADER-IDENTITY", "6.2.1", "Vendor, device, revision, class code and header type are read-only", Identity },
        { "PCI-HEADER-SUBSYSTEM", "6.2.4", "Subsystem vendor and subsystem id are read-only", Subsystem },
        { "PCI-HEADER-SUBSYSTEM-SET", "6.2.4", "The subsystem vendor id is that of a vendor, not zero", SubsystemSet, CheckSeverity.Recommendation },
        { "PCI-HEADER-RESERVED", "6.1", "Reserved bytes of the header read as zero, whatever is written", Reserved },
        { "PCI-HEADER-BIST", "6.2.4", "Without a self-test the BIST register is zero and stays so", SelfTest },
        { "PCI-HEADER-PIN", "6.2.4", "The interrupt pin is 0 to 4", Pin },
        { "PCI-HEADER-PIN-READ-ONLY", "6.2.4", "The interrupt pin is read-only", PinReadOnly },
        { "PCI-HEADER-LINE", "6.2.4", "The interrupt line keeps what is written, if there is a pin", Line, Need.Pin },
        { "PCI-HEADER-POINTER", "6.7", "The capability pointer is read-only", Pointer },
        { "PCI-HEADER-LATENCIES", "6.2.4", "Minimum grant and maximum latency are read-only", Latencies },
    };

    private static void Vendor(CheckContext check)
    {
        uint vendor = check.Access.ReadConfiguration(Reg.VendorId, 2);
        check.Require(vendor is not (0 or 0xffff), "a vendor id", Hex(vendor));
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

            check.Equal($"two 2-byte reads at {Hex((uint)offset)}", whole, halves);
            check.Equal($"four 1-byte reads at {Hex((uint)offset)}", whole, bytes);
        }
    }

    private static void Identity(CheckContext check)
    {
        check.ReadOnly(Reg.VendorId, 4);
        check.ReadOnly(Reg.RevisionId, 4);
        check.ReadOnly(Reg.HeaderType, 1);
    }

    private static void Subsystem(CheckContext check) => check.ReadOnly(Reg.SubsystemVendorId, 4);

    private static void SubsystemSet(CheckContext check)
    {
        uint vendor = check.Access.ReadConfiguration(Reg.SubsystemVendorId, 2);
        check.Require(vendor is not (0 or 0xffff), "a subsystem vendor id", Hex(vendor));
    }

    private static void Reserved(CheckContext check)
    {
        foreach (int offset in (int[])[0x35, 0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b])
        {
            check.Equal($"reserved byte {Hex((uint)offset)}", 0, check.Access.ReadConfiguration(offset, 1));
            check.Access.WriteConfiguration(offset, 1, 0xff);
            check.Equal($"reserved byte {Hex((uint)offset)} after a write", 0, check.Access.ReadConfiguration(offset, 1));
        }
    }

    private static void SelfTest(CheckContext check)
    {
        const int Register = 0x0f;
        uint value = check.Access.ReadConfiguration(Register, 1);
        if ((value & 0x80) != 0)
        {
            check.Skip("the function has a self-test, which is not run");
        }

        check.Equal("BIST", 0, value);
        check.Access.WriteConfiguration(Register, 1, 0x40);
        check.Equal("BIST after a start", 0, check.Access.ReadConfiguration(Register, 1));
    }

    private static void Pin(CheckContext check)
    {
        uint pin = check.Access.ReadConfiguration(Reg.InterruptPin, 1);
        check.Require(pin <= 4, "interrupt pin 0 to 4", Hex(pin));
    }

    private static void PinReadOnly(CheckContext check) => check.ReadOnly(Reg.InterruptPin, 1);

    private static void Line(CheckContext check)
    {
        foreach (uint value in (uint[])[0x00, 0x0b, 0xa5, 0xff])
        {
            check.Access.WriteConfiguration(Reg.InterruptLine, 1, value);
            check.Equal("interrupt line", value, check.Access.ReadConfiguration(Reg.InterruptLine, 1));
        }
    }

    private static void Pointer(CheckContext check) => check.ReadOnly(Reg.CapabilitiesPointer, 1);

    private static void Latencies(CheckContext check) => check.ReadOnly(0x3e, 2);
}
