using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The device's configuration as a region of the BAR.</summary>
internal sealed class DeviceConfigurationRegion(VirtioTransport transport) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => transport.ReadDeviceConfiguration((int)offset, width);

    public void Write(ulong offset, int width, ulong value) => transport.WriteDeviceConfiguration((int)offset, width, value);
}
