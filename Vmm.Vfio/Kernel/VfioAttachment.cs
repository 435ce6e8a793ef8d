using System;
using Vmm.Vfio.Interop;

namespace Vmm.Vfio.Kernel;

/// <summary>An open device and what it holds.</summary>
/// <param name="Location">Where sysfs has it.</param>
/// <param name="File">The open device.</param>
/// <param name="Space">Its I/O address space.</param>
/// <param name="Group">Its group, if it was opened through that.</param>
/// <param name="Registration">What the hypervisor knows of the file, of a device that was opened by itself.</param>
internal sealed record VfioAttachment(
    PciDeviceLocation Location, IKernelFile File, DmaAddressSpace Space, VfioGroup? Group, IDisposable? Registration = null);
