using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Registers;

namespace Vmm.Virtio.Transport;

/// <summary>The device's configuration as a region of the BAR: its registers, with the generation noticing what the driver looks at.</summary>
internal sealed class DeviceConfigurationRegion(VirtioTransport transport, IRegisterBlock registers) : IRegionHandler, IRegionNames
{
    public ulong Read(ulong offset, int width) => transport.ReadDeviceConfiguration((int)offset, width);

    public void Write(ulong offset, int width, ulong value) => transport.WriteDeviceConfiguration((int)offset, width, value);

    public string Describe(ulong offset, int selected) => registers.Describe(offset, selected);

    public int SelectedAt(ulong offset) => registers.SelectedAt(offset);
}
