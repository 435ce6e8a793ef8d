using Vmm.DeviceModel.Interrupts;

namespace Vmm.DeviceModel.Hypervisor;

/// <summary>One row for <see cref="IIrqRouting.ArmAll"/>.</summary>
/// <param name="Route">A route of the same machine.</param>
/// <param name="Message">Delivered at the route's signals.</param>
public readonly record struct RouteArming(IIrqRoute Route, MsiMessage Message);
