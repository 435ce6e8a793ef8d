namespace Vmm.Machine.State;

/// <summary>A byte of a real-time clock's memory.</summary>
/// <param name="Index">0 to 127, but for those of registers A to D.</param>
/// <param name="Value">The byte.</param>
public sealed record ClockCell(int Index, byte Value);
