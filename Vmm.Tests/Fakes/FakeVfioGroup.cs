using System;
using System.Linq;
using System.Runtime.InteropServices;
using System.Text;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Tests.Fakes;

/// <summary>/dev/vfio/NUMBER.</summary>
internal sealed class FakeVfioGroup(FakeVfioKernel kernel, int group) : FakeVfioFile(kernel, $"/dev/vfio/{group}")
{
    public int Group => group;

    public FakeVfioContainer? Container { get; set; }

    protected override int Handle(uint request, nuint value)
    {
        if (request != VfioRequests.VFIO_GROUP_UNSET_CONTAINER)
        {
            return -Errno.ENOTTY;
        }

        if (Note(nameof(VfioRequests.VFIO_GROUP_UNSET_CONTAINER)) is < 0 and var refused)
        {
            return refused;
        }

        if (IsKnownToHypervisor)
        {
            Kernel.Violations.Add($"{Path} leaves its container while the hypervisor holds it");
            return -Errno.EBUSY;
        }

        if (HasOpenDevice)
        {
            Kernel.Violations.Add($"{Path} leaves its container with a device open");
            return -Errno.EBUSY;
        }

        return Leave();
    }

    protected override int Handle(uint request, Span<byte> argument)
    {
        switch (request)
        {
            case VfioRequests.VFIO_GROUP_GET_STATUS:
                bool viable = Kernel.Devices.Where(device => device.Group == group).All(device => device.Driver is null || device.IsBound);
                As<vfio_group_status>(argument).flags = viable ? 1u : 0;
                return Note(nameof(VfioRequests.VFIO_GROUP_GET_STATUS));
            case VfioRequests.VFIO_GROUP_SET_CONTAINER:
                return Note(nameof(VfioRequests.VFIO_GROUP_SET_CONTAINER)) is < 0 and var refused ? refused : Join(MemoryMarshal.Read<int>(argument));
            case VfioRequests.VFIO_GROUP_GET_DEVICE_FD:
                string name = Encoding.ASCII.GetString(argument).TrimEnd('\0');
                return Note(nameof(VfioRequests.VFIO_GROUP_GET_DEVICE_FD), name) is < 0 and var no ? no : OpenDevice(name, argument[^1]);
            default:
                return -Errno.ENOTTY;
        }
    }

    protected override void Close()
    {
        if (HasOpenDevice)
        {
            Kernel.Violations.Add($"{Path} closes with a device open");
        }

        _ = Leave();
    }

    private bool HasOpenDevice => Kernel.Files.Values.OfType<FakeVfioDeviceFile>().Any(file => file.Device.Group == group && !file.IsOpenedByItself);

    private int Join(int number)
    {
        if (Container is not null || !Kernel.Files.TryGetValue(number, out FakeVfioFile? file) || file is not FakeVfioContainer container)
        {
            return -Errno.EINVAL;
        }

        if (container.Groups.Count > 0 && !Kernel.CanMerge(group))
        {
            return -Errno.EINVAL;
        }

        Container = container;
        container.Groups.Add(this);
        return 0;
    }

    private int Leave()
    {
        if (Container is not { } container)
        {
            return -Errno.EINVAL;
        }

        Container = null;
        container.Groups.Remove(this);
        if (container.Groups.Count == 0)
        {
            container.HasIommu = false;
            container.Mappings.Clear();
        }

        return 0;
    }

    private int OpenDevice(string name, byte last)
    {
        FakeVfioDevice? device = Kernel.Devices.FirstOrDefault(device => device.Address == name && device.Group == group);
        return Container is not { HasIommu: true } || last != 0 ? -Errno.EINVAL
            : device is null ? -Errno.ENODEV
            : new FakeVfioDeviceFile(Kernel, name, device, isOpenedByItself: false).Number;
    }
}
