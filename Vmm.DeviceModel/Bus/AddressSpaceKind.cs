namespace Vmm.DeviceModel.Bus;

/// <summary>What an <see cref="AddressSpace"/> addresses.</summary>
public enum AddressSpaceKind
{
    /// <summary>Guest-physical memory and memory-mapped I/O: 64-bit addresses, widths 1 to 8.</summary>
    Memory,

    /// <summary>Port I/O: 16-bit addresses, widths 1, 2 and 4.</summary>
    Port,
}
