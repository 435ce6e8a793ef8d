using Vmm.Machine.Catalogue;
using Vmm.Pci;

namespace Vmm.Machine;

/// <summary>A device of a machine.</summary>
/// <param name="Options">Its options with the id that it has: a <see cref="DiskOptions"/>, a <see cref="NetOptions"/> ...</param>
/// <param name="Function">The function on the bus; the machine's.</param>
public sealed record MachineDevice(DeviceOptions Options, PciFunction Function)
{
    /// <summary>Its id, unique in the machine.</summary>
    public string Id => Options.Id!;
}
