using System.Collections.Generic;

namespace Vmm.Machine.State;

/// <summary>The state of a serial port (version 1). What it is connected to is the host's and not part of it.</summary>
public sealed record SerialState
{
    /// <summary>Kind in saved states.</summary>
    internal const string Kind = "serial";

    /// <summary>Version that is written.</summary>
    internal const int Version = 1;

    /// <summary>IER.</summary>
    public required byte InterruptEnable { get; init; }

    /// <summary>FCR, as far as it is kept: the enable bit, DMA mode and trigger level.</summary>
    public required byte FifoControl { get; init; }

    /// <summary>LCR.</summary>
    public required byte LineControl { get; init; }

    /// <summary>MCR.</summary>
    public required byte ModemControl { get; init; }

    /// <summary>The error bits of LSR that nobody has read.</summary>
    public required byte LineErrors { get; init; }

    /// <summary>The delta bits of MSR that nobody has read.</summary>
    public required byte ModemDeltas { get; init; }

    /// <summary>SCR.</summary>
    public required byte Scratch { get; init; }

    /// <summary>DLL and DLM.</summary>
    public required ushort Divisor { get; init; }

    /// <summary>The transmitter's interrupt is pending, or will be as soon as there is room for a character.</summary>
    public required bool TransmitterOwed { get; init; }

    /// <summary>Characters that have arrived and were not read, the oldest first.</summary>
    public required IReadOnlyList<byte> Received { get; init; }
}
