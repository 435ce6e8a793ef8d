using System;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;

namespace Vmm.Machine.Devices;

/// <summary>The keyboard controller as far as it is still used: its command port, whose pulse command resets the processor. It has no state.</summary>
public sealed class ResetPort : IComponent
{
    /// <summary>Ports of the device.</summary>
    public const int Length = 1;

    private const byte PulseReset = 0xFE;

    /// <summary>Read, the port gives the status: neither buffer is full.</summary>
    internal static readonly RegisterMap<ResetPort> Map = new("i8042", Length, RegisterPolicy.Bytes)
    {
        { 0, 1, RegisterAccess.ReadWrite, "status_command", static _ => 0, static (port, value) => port.Execute((byte)value) },
    };

    /// <summary>Makes the port.</summary>
    public ResetPort() => Registers = Map.Bind(this);

    /// <summary>The guest pulsed the reset line. Raised on a vCPU thread, inside the access.</summary>
    public event Action? ResetRequested;

    /// <summary>The port.</summary>
    public IRegisterBlock Registers { get; }

    string IComponent.Name => "i8042";

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        Registers.Inspect(node);
    }

    private void Execute(byte command)
    {
        if (command == PulseReset)
        {
            ResetRequested?.Invoke();
        }
    }
}
