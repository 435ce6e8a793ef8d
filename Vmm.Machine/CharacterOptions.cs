using System;

namespace Vmm.Machine;

/// <summary>What a serial port or a console is connected to.</summary>
/// <param name="Kind">Which.</param>
/// <param name="Path">The file for <see cref="CharacterKind.File"/>.</param>
/// <param name="Append">Keep what the file holds, as a restarted machine does; otherwise it is emptied.</param>
/// <param name="Escape">
/// For <see cref="CharacterKind.Terminal"/>: called when Ctrl-A x is typed (Ctrl-A Ctrl-A sends one Ctrl-A). Without it every character reaches the
/// guest.
/// </param>
public sealed record CharacterOptions(CharacterKind Kind, string? Path = null, bool Append = false, Action? Escape = null);
