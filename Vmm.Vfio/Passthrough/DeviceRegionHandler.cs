using Vmm.DeviceModel.Bus;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>A part of a device's region that the guest reaches by exits: each access goes to the device with its width (VFIO-4).</summary>
internal sealed class DeviceRegionHandler(DeviceAccess access, PciRegionIndex region, ulong start, bool canRead, bool canWrite) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => canRead ? access.Read(region, start + offset, width) : ulong.MaxValue;

    public void Write(ulong offset, int width, ulong value)
    {
        if (canWrite)
        {
            access.Write(region, start + offset, width, value);
        }
    }
}
