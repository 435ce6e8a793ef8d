using Vmm.Virtio.Spec;
using Reg = Vmm.Pci.Spec.ConfigurationRegisters;

namespace Vmm.Conformance.Transport;

/// <summary>How a virtio device is known on PCI (virtio 1.2, 4.1.2).</summary>
internal static class IdentityChecks
{
    public static CheckGroup Group { get; } = new("virtio-pci identity", "virtio 1.2")
    {
        { "VTP-ID-VENDOR", "4.1.2.1", "The PCI vendor id is 0x1AF4", Vendor },
        { "VTP-ID-DEVICE", "4.1.2.1", "The PCI device id is 0x1040 plus the device type", Device },
        { "VTP-ID-REVISION", "4.1.2.1", "A device without a legacy interface has revision 1 or higher", Revision, CheckSeverity.Recommendation },
    };

    private static void Vendor(CheckContext check) => check.Equal("vendor id", VirtioPciIds.Vendor, check.Access.ReadConfiguration(Reg.VendorId, 2));

    private static void Device(CheckContext check)
    {
        uint id = check.Access.ReadConfiguration(Reg.DeviceId, 2);
        check.Require(id is >= 0x1000 and <= 0x107f and not VirtioPciIds.DeviceBase, "a device id from 0x1000 to 0x107f", CheckContext.Hex(id));
    }

    private static void Revision(CheckContext check)
    {
        if (check.Access.ReadConfiguration(Reg.DeviceId, 2) < VirtioPciIds.DeviceBase)
        {
            check.Skip("the device is transitional");
        }

        uint revision = check.Access.ReadConfiguration(Reg.RevisionId, 1);
        check.Require(revision >= 1, "a revision of at least 1", CheckContext.Hex(revision));
    }
}
