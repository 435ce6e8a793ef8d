using Vmm.DeviceModel.Interop;

namespace Vmm.Kvm.Interop;

/// <summary>
/// ioctls on a virtual machine's descriptor, and on those of its devices: the seam under which registrations are tested without a hypervisor.
/// </summary>
internal unsafe interface IVmCalls
{
    /// <summary>True once the machine is gone, and every registration with it.</summary>
    bool IsClosed { get; }

    /// <summary>Calls until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    int Call(uint request, void* argument);

    /// <summary>Calls a device that the machine made, until not interrupted.</summary>
    /// <returns>The kernel's result, or the negated errno.</returns>
    int Call(FileDescriptor device, uint request, void* argument);
}
