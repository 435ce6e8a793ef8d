using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Pci.ConfigSpace;
using Vmm.Virtio.Spec;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Pci;

/// <summary>What BARs and ROM decode, and when (PCI 3.0, 6.2.2 and 6.2.5).</summary>
internal static class DecodingChecks
{
    private const uint Mark = 0x5a;
    private const Need Needs = Need.Virtio | Need.MemoryBar | Need.Decoding;

    public static CheckGroup Group { get; } = new("decoding", "PCI 3.0")
    {
        { "PCI-DECODE-MEMORY", "6.2.2", "Memory BARs answer only while Memory Space is set", MemorySpace, Needs },
        { "PCI-DECODE-KEEPS", "6.2.2", "What was set behind a BAR is still there after decoding was off", Keeps, Needs },
        { "PCI-DECODE-WRITE", "6.2.2", "A write to a BAR that does not decode has no effect", WriteIsLost, Needs },
        { "PCI-DECODE-MOVE", "6.2.5.1", "A BAR answers at the address that it was moved to", Move, Needs },
        { "PCI-DECODE-SIZING", "6.2.5.1", "Sizing with decoding on leaves a function that answers once the address is back", Sizing, Needs },
        { "PCI-ROM-SIZING", "6.2.5.2", "The ROM register reads back as a mask of a power of two, with a separate enable bit", RomSizing, Need.Rom },
        { "PCI-ROM-ENABLE", "6.2.5.2", "The enable bit of the ROM reads back as it is written", RomEnable, Need.Rom },
        { "PCI-ROM-ABSENT", "6.2.5.2", "Without a ROM its register reads as zero, whatever is written", RomAbsent },
    };

    private static void MemorySpace(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Set(Offset.DriverFeatureSelect, 4, Mark);
        SetDecoding(check, false);

        // What nobody answers is the bus's business: often all ones.
        ulong seen = driver.Get(Offset.DriverFeatureSelect, 4);
        check.Require(seen != Mark, "no answer while Memory Space is clear", CheckContext.Hex(seen));
        SetDecoding(check, true);
        check.Equal("driver_feature_select while Memory Space is set", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
    }

    private static void Keeps(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.Set(Offset.DriverFeatureSelect, 4, Mark);
        SetDecoding(check, false);
        SetDecoding(check, true);
        check.Equal("driver_feature_select", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
        check.Equal("device_status", (ulong)(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk), (ulong)driver.Status);
    }

    private static void WriteIsLost(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Set(Offset.DriverFeatureSelect, 4, Mark);
        SetDecoding(check, false);
        driver.Set(Offset.DriverFeatureSelect, 4, 1);
        SetDecoding(check, true);
        check.Equal("driver_feature_select", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
    }

    private static void Move(CheckContext check)
    {
        var driver = new RawDriver(check);
        PciBarFacts bar = CommonBar(check);
        driver.Set(Offset.DriverFeatureSelect, 4, Mark);
        uint before = check.Access.ReadConfiguration(bar.Register, 4);
        check.Access.WriteConfiguration(bar.Register, 4, (uint)((before & bar.AddressMask) + bar.Length));
        check.Equal("driver_feature_select at the next address", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
        check.Access.WriteConfiguration(bar.Register, 4, before);
        check.Equal("driver_feature_select at the first address again", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
    }

    private static void Sizing(CheckContext check)
    {
        var driver = new RawDriver(check);
        PciBarFacts bar = CommonBar(check);
        driver.Set(Offset.DriverFeatureSelect, 4, Mark);
        uint low = check.Access.ReadConfiguration(bar.Register, 4);
        uint high = bar.IsWide ? check.Access.ReadConfiguration(bar.Register + 4, 4) : 0;
        BarChecks.SizeOf(check, bar);
        check.Access.WriteConfiguration(bar.Register, 4, low);
        if (bar.IsWide)
        {
            check.Access.WriteConfiguration(bar.Register + 4, 4, high);
        }

        check.Equal("driver_feature_select after the BAR was sized", Mark, driver.Get(Offset.DriverFeatureSelect, 4));
    }

    private static void RomSizing(CheckContext check)
    {
        check.Access.WriteConfiguration(Reg.ExpansionRom, 4, 0xffff_f800);
        uint mask = check.Access.ReadConfiguration(Reg.ExpansionRom, 4);
        uint size = ~mask + 1;
        check.Require(
            System.Numerics.BitOperations.IsPow2(size) && size is >= 0x800 and <= 0x100_0000, "a ROM of a power of two up to 16 MiB",
            $"mask {CheckContext.Hex(mask)}");
        check.Access.WriteConfiguration(Reg.ExpansionRom, 4, uint.MaxValue);
        check.Equal("ROM register after all ones", mask | 1, check.Access.ReadConfiguration(Reg.ExpansionRom, 4));
    }

    private static void RomEnable(CheckContext check)
    {
        foreach (uint value in (uint[])[1, 0])
        {
            check.Access.WriteConfiguration(Reg.ExpansionRom, 4, value);
            check.Equal("ROM register", value, check.Access.ReadConfiguration(Reg.ExpansionRom, 4));
        }
    }

    private static void RomAbsent(CheckContext check)
    {
        check.Access.WriteConfiguration(Reg.ExpansionRom, 4, 0xffff_f800);
        if (check.Access.ReadConfiguration(Reg.ExpansionRom, 4) >= 0x800)
        {
            check.Skip("there is an expansion ROM");
        }

        check.Access.WriteConfiguration(Reg.ExpansionRom, 4, uint.MaxValue);
        check.Equal("ROM register after all ones", 0, check.Access.ReadConfiguration(Reg.ExpansionRom, 4));
    }

    private static PciBarFacts CommonBar(CheckContext check) => check.Facts.Bars.First(bar => bar.Index == check.Structures.Common.Bar);

    private static void SetDecoding(CheckContext check, bool on)
    {
        uint command = check.Access.ReadConfiguration(Reg.Command, 2) & ~(uint)PciCommand.MemorySpace;
        check.Access.WriteConfiguration(Reg.Command, 2, command | (on ? (uint)PciCommand.MemorySpace : 0));
    }
}
