using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Kvm;

/// <summary>One row for <see cref="KvmIrqRouting.ArmAll"/>.</summary>
/// <param name="Route">A route of the same machine.</param>
/// <param name="Message">What it delivers.</param>
public readonly record struct RouteArming(IIrqRoute Route, MsiMessage Message);
