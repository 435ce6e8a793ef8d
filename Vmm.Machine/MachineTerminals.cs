using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;

namespace Vmm.Machine;

/// <summary>Pseudo-terminals that outlive a machine: those who have them open keep them when the guest resets and a new machine is made.</summary>
public sealed class MachineTerminals : IDisposable
{
    private readonly List<PseudoTerminal> _terminals = [];

    /// <summary>Makes the terminals that a serial port or a console on one would make for itself (<see cref="CharacterKind.Pty"/>).</summary>
    /// <param name="options">The machine.</param>
    /// <returns>The same with the terminals, for machine after machine; these are disposed before the terminals.</returns>
    /// <exception cref="MachineException">The host has none left.</exception>
    public MachineOptions Open(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        int before = _terminals.Count;
        try
        {
            return options with
            {
                Serial = Open("serial", options.Serial),
                Devices =
                [
                    .. options.Devices.Select(device => device is ConsoleOptions console
                        ? console with { Character = Open("console", console.Character) }
                        : device),
                ],
            };
        }
        catch
        {
            foreach (PseudoTerminal terminal in _terminals.Skip(before))
            {
                terminal.Dispose();
            }

            _terminals.RemoveRange(before, _terminals.Count - before);
            throw;
        }
    }

    /// <summary>Closes the terminals.</summary>
    public void Dispose()
    {
        _terminals.ForEach(static terminal => terminal.Dispose());
        _terminals.Clear();
    }

    private CharacterOptions Open(string part, CharacterOptions options)
    {
        if (options.Kind != CharacterKind.Pty || options.Terminal is not null)
        {
            return options;
        }

        try
        {
            var terminal = PseudoTerminal.Open();
            _terminals.Add(terminal);
            return options with { Terminal = terminal };
        }
        catch (HostException e)
        {
            throw new MachineException(part, "pty", e.Message, e);
        }
    }
}
