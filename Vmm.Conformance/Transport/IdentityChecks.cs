using Vmm.Virtio.Spec;
using static Vmm.Conformance.CheckContext;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Transport;

/// <summary>How a virtio device is known on PCI (virtio 1.2, 4.1.2).</summary>
internal static class IdentityChecks
{
    public static CheckGroup Group { get; } = new("virtio-pci identity", "virtio 1.2")
    {
        { "VTP-ID-VENDOR", "4.1.2.1", "The PCI vendor id is 0x1AF4", Vendor },
        { "VTP-ID-DEVICE", "4.1.2.1", "The PCI device id is 0x1040 plus the device type, or a transitional one", Device },
        { "VTP-ID-MODERN", "4.1.2.1", "A device without a legacy interface has an id from 0x1040", Modern, CheckSeverity.Recommendation },
        { "VTP-ID-REVISION", "4.1.2.1", "A device without a legacy interface has revision 1 or higher", Revision, CheckSeverity.Recommendation },
        { "VTP-ID-SUBSYSTEM", "4.1.2.1", "A device without a legacy interface has a subsystem id of 0x40 or higher", Subsystem, CheckSeverity.Recommendation },
    };

    private static void Vendor(CheckContext check) => check.Equal("vendor id", VirtioPciIds.Vendor, check.Access.ReadConfiguration(Reg.VendorId, 2));

    private static void Device(CheckContext check)
    {
        uint id = DeviceId(check);
        bool transitional = id is >= 0x1000 and <= 0x1005 or 0x1009;
        check.Require(
            transitional || id is > VirtioPciIds.DeviceBase and <= 0x107f, "a device id from 0x1041 to 0x107f or a transitional one", Hex(id));
        if (check.Kind is { } kind)
        {
            check.Equal("device type", (uint)kind, (uint)check.DeviceType);
        }
    }

    private static void Modern(CheckContext check)
    {
        if (check.Access.ReadConfiguration(Reg.RevisionId, 1) == 0)
        {
            check.Skip("revision 0: the device may be transitional");
        }

        uint id = DeviceId(check);
        check.Require(id >= VirtioPciIds.DeviceBase, "a device id from 0x1040", Hex(id));
    }

    private static void Revision(CheckContext check)
    {
        SkipTransitional(check);
        uint revision = check.Access.ReadConfiguration(Reg.RevisionId, 1);
        check.Require(revision >= 1, "a revision of at least 1", Hex(revision));
    }

    private static void Subsystem(CheckContext check)
    {
        SkipTransitional(check);
        uint id = check.Access.ReadConfiguration(Reg.SubsystemId, 2);
        check.Require(id >= 0x40, "a subsystem id of at least 0x40", Hex(id));
    }

    private static void SkipTransitional(CheckContext check)
    {
        if (DeviceId(check) < VirtioPciIds.DeviceBase)
        {
            check.Skip("the device is transitional");
        }
    }

    private static uint DeviceId(CheckContext check) => check.Access.ReadConfiguration(Reg.DeviceId, 2);
}
