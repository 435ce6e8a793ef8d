using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The common configuration structure as a region of the BAR.</summary>
internal sealed class CommonConfigurationRegion(CommonConfigurationRegisters registers) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => CommonConfigurationRegisters.Map.Read(registers, offset, width);

    public void Write(ulong offset, int width, ulong value) => CommonConfigurationRegisters.Map.Write(registers, offset, width, value);
}
