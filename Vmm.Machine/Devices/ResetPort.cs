using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.Machine.Devices;

/// <summary>What is left of the keyboard controller: its command port, whose pulse command resets the processor.</summary>
public sealed class ResetPort : IRegionHandler
{
    private const byte PulseReset = 0xFE;

    /// <summary>The guest pulsed the reset line. Raised on a vCPU thread, inside the access.</summary>
    public event Action? ResetRequested;

    /// <summary>Status: neither buffer is full.</summary>
    /// <inheritdoc/>
    public ulong Read(ulong offset, int width) => 0;

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
        if ((byte)value == PulseReset)
        {
            ResetRequested?.Invoke();
        }
    }
}
