using System;
using System.Collections.Generic;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Acpi;

/// <summary>What the tables describe.</summary>
public sealed record AcpiOptions
{
    /// <summary>Where RAM and the windows are.</summary>
    public required MemoryLayout Layout { get; init; }

    /// <summary>Processors, 1 to <see cref="MachineLimits.Cpus"/>; the local APIC id of each is its index.</summary>
    public int CpuCount { get; init; } = 1;

    /// <summary>True if COM1 is there.</summary>
    public bool HasSerialPort { get; init; } = true;

    /// <summary>Slots of bus 0 that may hold a function with an interrupt pin: 0 to 32.</summary>
    public int PciSlots { get; init; } = 32;

    /// <summary>Slots of bus 0 that hold a PCI Express root port, each once.</summary>
    public IReadOnlyList<int> RootPortSlots { get; init; } = [];

    /// <summary>
    /// The GSI that pin 0 (INTA) to 3 (INTD) of the port in a slot is wired to for what is behind it; null for what its own pin is wired to.
    /// </summary>
    public Func<int, int, int>? PortInterrupt { get; init; }

    /// <summary>The GSI that pin 0 (INTA) to 3 (INTD) of a slot of bus 0 is wired to.</summary>
    public required Func<int, int, int> PciInterrupt { get; init; }
}
