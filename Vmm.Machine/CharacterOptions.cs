namespace Vmm.Machine;

/// <summary>What a serial port or a console is connected to.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Path">The file for <see cref="CharacterKind.File"/>; see <see cref="MachineOptions.AppendOutput"/>.</param>
public sealed record CharacterOptions(CharacterKind Kind, string? Path = null);
