using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// A device's Advanced Features capability: what it says is the device's, its reset is ours, where the device can be reset alone (VFIO-10).
/// </summary>
internal sealed class AdvancedFeaturesCapability(bool canReset) : PciCapability(DeviceCapabilityIds.AdvancedFeatures, RequiredLength)
{
    public override string Description => "advanced features, the device's; its reset is emulated";

    public const int RequiredLength = 6;
    public const int Capabilities = 3;
    public const int Control = 4;
    public const uint FlrCapable = 2;

    private const uint InitiateFlr = 1;

    /// <inheritdoc/>
    protected override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (offset == Control && canReset && (write.Written & InitiateFlr) != 0)
        {
            ((PassthroughFunction)Function!).ResetByGuest();
        }
    }
}
