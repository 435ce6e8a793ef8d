namespace Vmm.Machine;

/// <summary>How a machine ended.</summary>
/// <param name="Reason">Why.</param>
/// <param name="Detail">One line for a person where something went wrong, else empty.</param>
public readonly record struct MachineExit(MachineExitReason Reason, string Detail = "");
