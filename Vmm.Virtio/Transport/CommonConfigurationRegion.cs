using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The common configuration structure as a region of the BAR.</summary>
internal sealed class CommonConfigurationRegion(VirtioTransport transport) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => VirtioTransport.CommonConfiguration.Read(transport, offset, width);

    public void Write(ulong offset, int width, ulong value) => VirtioTransport.CommonConfiguration.Write(transport, offset, width, value);
}
