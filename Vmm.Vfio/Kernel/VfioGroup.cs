using System;
using System.Globalization;
using System.Linq;
using System.Text;
using Vmm.DeviceModel.Interop;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>An open IOMMU group: the devices that can only be given away together.</summary>
internal sealed unsafe class VfioGroup : IDisposable
{
    private VfioGroup(IKernelFile file, int number, string path) => (File, Number, Path) = (file, number, path);

    public IKernelFile File { get; }

    public int Number { get; }

    /// <summary>Its node, for messages.</summary>
    public string Path { get; }

    /// <summary>Where it is; null while it is in none.</summary>
    public VfioContainer? Container { get; set; }

    /// <summary>The hypervisor's registration of it; null if it was not told.</summary>
    public IDisposable? Registration { get; set; }

    /// <summary>Devices of it that are attached; the owner counts.</summary>
    public int Users { get; set; }

    /// <summary>The node of a group.</summary>
    public static string NodeOf(int number) => string.Create(CultureInfo.InvariantCulture, $"/dev/vfio/{number}");

    /// <summary>Opens a group, which the kernel lets one process do at a time.</summary>
    /// <param name="calls">The kernel.</param>
    /// <param name="number">Its number.</param>
    /// <param name="otherwise">Another way to the device that is to be said if there is no node, or nothing.</param>
    /// <exception cref="VfioException">It cannot be opened, or one of its devices is another driver's.</exception>
    public static VfioGroup Open(IVfioCalls calls, int number, string otherwise)
    {
        string path = NodeOf(number);
        IKernelFile file = calls.Open(path, out int errno) ?? throw Refusal.Open(
            path, errno, $"there is no such node: modprobe vfio-pci, or make it visible here (a container needs --device {path}){otherwise}");
        try
        {
            var status = new vfio_group_status { argsz = (uint)sizeof(vfio_group_status) };
            int result = file.Ioctl(VfioRequests.VFIO_GROUP_GET_STATUS, new Span<byte>(&status, sizeof(vfio_group_status)));
            if (result < 0)
            {
                throw Refusal.Of(nameof(VfioRequests.VFIO_GROUP_GET_STATUS), path, result, "the group does not answer");
            }

            if ((status.flags & VfioConstants.VFIO_GROUP_FLAGS_VIABLE) == 0)
            {
                throw new VfioException(nameof(VfioRequests.VFIO_GROUP_GET_STATUS), path, 0, DescribeOthers(calls, number));
            }

            return new VfioGroup(file, number, path);
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Opens a device of the group, which is in a container.</summary>
    /// <param name="name">Its address, as sysfs writes it.</param>
    /// <returns>The device, or null.</returns>
    /// <param name="calls">The kernel.</param>
    /// <param name="result">The negated errno, or 0.</param>
    public IKernelFile? OpenDevice(IVfioCalls calls, string name, out int result)
    {
        byte[] text = new byte[Encoding.ASCII.GetByteCount(name) + 1];
        Encoding.ASCII.GetBytes(name, text);
        int descriptor = File.Ioctl(VfioRequests.VFIO_GROUP_GET_DEVICE_FD, text);
        result = Math.Min(descriptor, 0);
        return descriptor < 0 ? null : calls.Adopt(descriptor);
    }

    /// <summary>Why a device of a group that is ours cannot be opened.</summary>
    public static string ExplainDevice(int errno)
    {
        return errno switch
        {
            Errno.EBUSY => "in use: another process, or this one, has the device open",
            Errno.ENODEV => "the group has no such device any more: it was unbound or removed",
            Errno.EPERM or Errno.EACCES => "the kernel does not give the device away; a virtual function needs the token of its physical function",
            Errno.EAGAIN => "the device is being reset: try again",
            _ => "the device cannot be opened; dmesg may say why",
        };
    }

    public void Dispose() => File.Dispose();

    private static string DescribeOthers(IVfioCalls calls, int number)
    {
        string folder = string.Create(CultureInfo.InvariantCulture, $"/sys/kernel/iommu_groups/{number}/devices");
        string[] others =
        [
            .. from name in calls.List(folder)
               let driver = calls.ReadLinkName($"{folder}/{name}/driver")
               where driver is not null && !PciDeviceLocation.IsVfio(calls, $"{folder}/{name}", driver)
               select $"{name} ({driver})",
        ];
        string who = others.Length == 0
            ? "another device of it has a driver"
            : $"{string.Join(", ", others)} belong{(others.Length == 1 ? "s" : "")} to it too";
        return $"group {number} is not viable: {who}; "
            + "give all of its devices to vfio-pci, or unbind them (echo ADDRESS >/sys/bus/pci/devices/ADDRESS/driver/unbind)";
    }
}
