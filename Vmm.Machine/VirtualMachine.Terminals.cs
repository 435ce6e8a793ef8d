using System;
using System.Linq;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <content>Where its pseudo-terminals are.</content>
public sealed partial class VirtualMachine
{
    /// <summary>
    /// The path of the serial port's pseudo-terminal; null if it is not on one (<see cref="CharacterKind.Pty"/>). From any thread.
    /// </summary>
    public string? SerialPath => _platform!.SerialPath;

    /// <summary>The path of a console's pseudo-terminal, as <see cref="SerialPath"/>.</summary>
    /// <param name="id">The console.</param>
    /// <returns>Null if there is no such console, or it is not on a pseudo-terminal.</returns>
    public string? ConsolePath(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return Devices.FirstOrDefault(device => device.Id == id)?.Function is VirtioPciFunction { Device: ConsoleDevice console }
            ? (console.Backend as TerminalConsoleBackend)?.Path
            : null;
    }
}
