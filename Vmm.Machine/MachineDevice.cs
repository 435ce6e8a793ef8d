using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <summary>A virtio device of a machine.</summary>
/// <param name="Function">The function on the bus.</param>
/// <param name="Options">What it was made from: a <see cref="DiskOptions"/>, a <see cref="NetOptions"/> ...</param>
public sealed record MachineDevice(VirtioPciFunction Function, VirtioOptions Options);
