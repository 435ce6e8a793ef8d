namespace Vmm.Pci.Interrupts;

/// <summary>One row of the root bus's interrupt routing: which wire a device's pin drives.</summary>
/// <param name="Device">Device number on the root bus, 0 to 31.</param>
/// <param name="Pin">A to D.</param>
/// <param name="Gsi">Global system interrupt.</param>
public readonly record struct InterruptRoute(int Device, InterruptPin Pin, int Gsi);
