using System.Collections.Generic;

namespace Vmm.Machine.Control;

/// <summary>A controller's machine at one moment.</summary>
/// <param name="Status">Its state.</param>
/// <param name="Options">Its description; null where there is none.</param>
/// <param name="Devices">
/// Those of the description that are there, then those that were added while it ran. Empty for a machine that does not run.
/// </param>
public sealed record MachineInfo(MachineStatus Status, MachineOptions? Options, IReadOnlyList<MachineDevice> Devices);
