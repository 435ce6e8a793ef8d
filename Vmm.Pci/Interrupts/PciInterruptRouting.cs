using System;
using System.Collections.Generic;

namespace Vmm.Pci.Interrupts;

/// <summary>
/// The one table that says which GSI a pin of a device on the root bus drives. The wiring and the guest's firmware table (ACPI _PRT) are both
/// made from it, so they agree (PCI-9).
/// </summary>
/// <remarks>
/// Pins are swizzled: consecutive devices start at consecutive GSIs, so that devices that all use pin A spread over the wires.
/// A bridge swizzles its children's pins onto its own in the same manner (PCI-to-PCI Bridge 1.2, 9.1).
/// </remarks>
public sealed class PciInterruptRouting
{
    /// <summary>Routes pins over a run of GSIs.</summary>
    /// <param name="firstGsi">The first one; 16 is the first I/O APIC input without an ISA meaning.</param>
    /// <param name="count">How many, 1 to 32.</param>
    public PciInterruptRouting(int firstGsi = 16, int count = 4)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstGsi);
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, 32);
        FirstGsi = firstGsi;
        Count = count;
    }

    /// <summary>The first GSI in use.</summary>
    public int FirstGsi { get; }

    /// <summary>How many GSIs are in use.</summary>
    public int Count { get; }

    /// <summary>The rows for all pins of devices 0 to 31, as _PRT lists them.</summary>
    public IEnumerable<InterruptRoute> Routes
    {
        get
        {
            for (int device = 0; device < 32; device++)
            {
                for (InterruptPin pin = InterruptPin.A; pin <= InterruptPin.D; pin++)
                {
                    yield return new InterruptRoute(device, pin, GetGsi(device, pin));
                }
            }
        }
    }

    /// <summary>The GSI that a pin drives.</summary>
    /// <param name="device">Device number on the root bus, 0 to 31.</param>
    /// <param name="pin">A to D.</param>
    public int GetGsi(int device, InterruptPin pin)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 31u, nameof(device));
        if (pin is < InterruptPin.A or > InterruptPin.D)
        {
            throw new ArgumentOutOfRangeException(nameof(pin), pin, "a pin from A to D");
        }

        return FirstGsi + ((device + (int)pin - (int)InterruptPin.A) % Count);
    }

    /// <summary>The pin of a bridge that a pin of a device behind it becomes.</summary>
    /// <param name="device">Device number on the bridge's secondary bus, 0 to 31.</param>
    /// <param name="pin">A to D.</param>
    public static InterruptPin Swizzle(int device, InterruptPin pin)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 31u, nameof(device));
        if (pin is < InterruptPin.A or > InterruptPin.D)
        {
            throw new ArgumentOutOfRangeException(nameof(pin), pin, "a pin from A to D");
        }

        return (InterruptPin)((((int)pin - 1 + device) % 4) + 1);
    }
}
