using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Vfio.Passthrough;

/// <summary>A device's Advanced Features capability: what it says is the device's, its reset is ours (VFIO-10).</summary>
internal sealed class AdvancedFeaturesCapability() : PciCapability(DeviceCapabilityIds.AdvancedFeatures, RequiredLength)
{
    public const int RequiredLength = 6;
    public const int Control = 4;

    private const uint InitiateFlr = 1;

    /// <inheritdoc/>
    protected override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (offset == Control && (write.Written & InitiateFlr) != 0)
        {
            ((PassthroughFunction)Function!).ResetByGuest();
        }
    }
}
