using Vmm.Conformance.Driving;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;
using static Vmm.Conformance.CheckContext;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Transport;

/// <summary>Feature bits and their negotiation (virtio 1.2, 2.2, 3.1 and 6).</summary>
internal static class FeatureChecks
{
    private const ulong Reserved = 0x0003_f000_8600_0000;
    private const ulong Experimental = 1UL << 30;
    private const ulong SrIov = 1UL << 37;
    private const int SrIovCapability = 0x10;

    public static CheckGroup Group { get; } = new("feature bits", "virtio 1.2")
    {
        { "VTP-FEATURE-VERSION", "6.2", "VERSION_1 is offered", Version, Need.Virtio },
        { "VTP-FEATURE-RESERVED", "2.2.2", "No reserved feature bit is offered", ReservedBits, Need.Virtio },
        { "VTP-FEATURE-SR-IOV", "6.2", "SR_IOV is offered by functions with that capability only", VirtualFunctions, Need.Virtio },
        { "VTP-FEATURE-DEPENDENCIES", "2.2.2", "A network device offers no feature without the one that it depends on", NetDependencies, VirtioDeviceType.Net, Need.Virtio },
        { "VTP-FEATURE-BANKS", "4.1.4.3.1", "Banks of feature bits that nothing is defined in read as zero, whatever the selector", Banks, Need.Virtio },
        { "VTP-FEATURE-BANKS-NEXT", "4.1.4.3.1", "Banks 2 and 3, of which version 1.2 defines no bit, read as zero", NextBanks, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-FEATURE-BANK-WRITE", "4.1.4.3.1", "Features accepted in a bank that there is not change none of the others", BankWrite, Need.Virtio },
        { "VTP-FEATURE-READ-BACK", "4.1.4.3.1", "Accepted features that are offered read back in driver_feature", ReadBack, Need.Virtio },
        { "VTP-FEATURE-BANKS-APART", "4.1.4.3", "Accepting features in one bank leaves the other alone", BanksApart, Need.Virtio },
        { "VTP-FEATURE-STABLE", "2.2", "The same features are offered after a reset", Stable, Need.Virtio },
        { "VTP-FEATURE-LEAST", "2.2.2", "VERSION_1 with what the platform needs is accepted", Least, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-FEATURE-EVERY", "2.2.2", "Everything that is offered is accepted", Every, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-FEATURE-UNOFFERED", "2.2.2", "A feature that is not offered is refused: by FEATURES_OK, or by not reading back", Unoffered, Need.Virtio },
        { "VTP-FEATURE-FROZEN", "2.2", "Features accepted by FEATURES_OK change no more", Frozen, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-FEATURE-AGAIN", "2.2.2", "A set of features that was accepted is accepted again after a reset", Again, CheckSeverity.Recommendation, Need.Virtio },
        { "VTP-FEATURE-OTHER", "2.2", "After a reset another set of features can be negotiated", Other, CheckSeverity.Recommendation, Need.Virtio },
    };

    private static void Version(CheckContext check)
    {
        ulong offered = new RawDriver(check).OfferedFeatures;
        check.Require((offered & TransportFeatures.Version1) != 0, "VERSION_1 offered", Hex(offered));
    }

    private static void ReservedBits(CheckContext check)
    {
        ulong legacy = check.Access.ReadConfiguration(Reg.RevisionId, 1) == 0 ? 0 : Experimental;
        check.Equal("reserved bits offered", 0, new RawDriver(check).OfferedFeatures & (Reserved | legacy));
    }

    private static void VirtualFunctions(CheckContext check)
    {
        bool offered = (new RawDriver(check).OfferedFeatures & SrIov) != 0;
        check.Require(
            !offered || HasExtended(check, SrIovCapability), "SR_IOV not offered, or the capability", "SR_IOV offered without the capability");
    }

    private static void NetDependencies(CheckContext check)
    {
        ulong offered = new RawDriver(check).OfferedFeatures;
        foreach ((int feature, ulong needs) in ((int, ulong)[])
        [
            (7, 1 << 1), (8, 1 << 1), (9, (1 << 7) | (1 << 8)), (10, 1 << 1), (11, 1 << 0), (12, 1 << 0), (13, (1 << 11) | (1 << 12)), (14, 1 << 0),
            (18, 1 << 17), (19, 1 << 17), (21, 1 << 17), (22, 1 << 17), (23, 1 << 17), (61, (1 << 7) | (1 << 8)),
        ])
        {
            bool holds = (offered & (1UL << feature)) == 0 || (offered & needs) != 0;
            check.Require(holds, $"feature {feature} with one of {Hex(needs)}", $"offered {Hex(offered)}");
        }
    }

    private static void Banks(CheckContext check)
    {
        foreach (uint bank in (uint[])[4, 31, 0x0800_0000, 0x8000_0000, 0xffff_ffff])
        {
            check.Equal($"device_feature of bank {Hex(bank)}", 0, new RawDriver(check).ReadFeatures(bank));
        }
    }

    private static void NextBanks(CheckContext check)
    {
        foreach (uint bank in (uint[])[2, 3])
        {
            check.Equal($"device_feature of bank {bank}", 0, new RawDriver(check).ReadFeatures(bank));
        }
    }

    private static void BankWrite(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Recognise();
        ulong least = driver.LeastFeatures;
        driver.WriteDriverFeatures(least);
        foreach (uint bank in (uint[])[4, 5, 0x0800_0000, 0x0800_0001, 0xffff_ffff])
        {
            driver.Set(Offset.DriverFeatureSelect, 4, bank);
            driver.Set(Offset.DriverFeature, 4, 0);
        }

        check.Equal("driver_feature of bank 0", (uint)least, driver.ReadDriverFeatures(0));
        check.Equal("driver_feature of bank 1", least >> 32, driver.ReadDriverFeatures(1));
    }

    private static void ReadBack(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Recognise();
        ulong offered = driver.OfferedFeatures;
        foreach (ulong value in (ulong[])[offered, driver.LeastFeatures])
        {
            driver.WriteDriverFeatures(value);
            check.Equal("driver_feature", value, driver.ReadDriverFeatures(0) | (driver.ReadDriverFeatures(1) << 32));
        }
    }

    private static void BanksApart(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Recognise();
        ulong offered = driver.OfferedFeatures;
        driver.WriteDriverFeatures(offered);
        driver.Set(Offset.DriverFeatureSelect, 4, 0);
        driver.Set(Offset.DriverFeature, 4, 0);
        check.Equal("driver_feature of bank 1 after bank 0 was cleared", offered >> 32, driver.ReadDriverFeatures(1));
        check.Equal("driver_feature of bank 0 after it was cleared", 0, driver.ReadDriverFeatures(0));
    }

    private static void Stable(CheckContext check)
    {
        var driver = new RawDriver(check);
        ulong before = driver.OfferedFeatures;
        driver.Negotiate();
        driver.Reset();
        check.Equal("offered features", before, driver.OfferedFeatures);
    }

    private static void Least(CheckContext check) => new RawDriver(check).Negotiate();

    private static void Every(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(driver.OfferedFeatures & ~SrIov);
    }

    private static void Unoffered(CheckContext check)
    {
        var driver = new RawDriver(check);
        ulong offered = driver.OfferedFeatures;
        for (int bit = 0; bit < 64; bit += 5)
        {
            ulong feature = 1UL << bit;
            if ((offered & feature) != 0)
            {
                continue;
            }

            driver.Recognise();
            driver.WriteDriverFeatures(driver.LeastFeatures | feature);
            driver.AddStatus(DeviceStatus.FeaturesOk);
            bool shown = ((driver.ReadDriverFeatures(0) | (driver.ReadDriverFeatures(1) << 32)) & feature) != 0;
            check.Require(
                (driver.Status & DeviceStatus.FeaturesOk) == 0 || !shown, $"feature bit {bit}, which is not offered, refused",
                $"device_status = {driver.Status}, the bit shown in driver_feature");
        }
    }

    private static void Frozen(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        ulong before = driver.ReadDriverFeatures(0) | (driver.ReadDriverFeatures(1) << 32);
        driver.WriteDriverFeatures(driver.OfferedFeatures ^ before);
        check.Equal("driver_feature after FEATURES_OK", before, driver.ReadDriverFeatures(0) | (driver.ReadDriverFeatures(1) << 32));
    }

    private static void Again(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate();
        driver.Negotiate();
    }

    private static void Other(CheckContext check)
    {
        var driver = new RawDriver(check);
        driver.Negotiate(driver.OfferedFeatures & ~SrIov);
        driver.Negotiate();
        check.Equal("driver_feature", driver.LeastFeatures, driver.ReadDriverFeatures(0) | (driver.ReadDriverFeatures(1) << 32));
    }

    private static bool HasExtended(CheckContext check, int id)
    {
        int at = Reg.FirstExtendedCapability;
        for (int steps = 0; steps < 960 && at >= Reg.FirstExtendedCapability; steps++)
        {
            uint header = check.Access.ReadConfiguration(at, 4);
            if ((header & 0xffff) == id)
            {
                return true;
            }

            at = (int)(header >> 20) & ~3;
        }

        return false;
    }
}
