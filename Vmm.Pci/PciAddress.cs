using System;
using System.Globalization;

namespace Vmm.Pci;

/// <summary>Where a function sits: bus, device and function, together the 16-bit requester id.</summary>
/// <remarks>Prints as Linux does, without the segment: <c>00:03.0</c>.</remarks>
public readonly record struct PciAddress : IComparable<PciAddress>
{
    /// <summary>Names a function.</summary>
    /// <param name="bus">0 to 255.</param>
    /// <param name="device">0 to 31.</param>
    /// <param name="function">0 to 7.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number outside its range.</exception>
    public PciAddress(int bus, int device, int function)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)bus, 255u, nameof(bus));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)device, 31u, nameof(device));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)function, 7u, nameof(function));
        RequesterId = (ushort)((bus << 8) | (device << 3) | function);
    }

    /// <summary>bus &lt;&lt; 8 | device &lt;&lt; 3 | function.</summary>
    public ushort RequesterId { get; }

    /// <summary>0 to 255.</summary>
    public int Bus => RequesterId >> 8;

    /// <summary>0 to 31.</summary>
    public int Device => (RequesterId >> 3) & 31;

    /// <summary>0 to 7.</summary>
    public int Function => RequesterId & 7;

    /// <summary>device &lt;&lt; 3 | function.</summary>
    public int DeviceFunction => RequesterId & 0xff;

    /// <inheritdoc/>
    public int CompareTo(PciAddress other) => RequesterId.CompareTo(other.RequesterId);

    /// <summary>True if the left one comes first in bus order.</summary>
    public static bool operator <(PciAddress left, PciAddress right) => left.RequesterId < right.RequesterId;

    /// <summary>True if the left one comes last in bus order.</summary>
    public static bool operator >(PciAddress left, PciAddress right) => left.RequesterId > right.RequesterId;

    /// <summary>True if the left one is the same or comes first in bus order.</summary>
    public static bool operator <=(PciAddress left, PciAddress right) => left.RequesterId <= right.RequesterId;

    /// <summary>True if the left one is the same or comes last in bus order.</summary>
    public static bool operator >=(PciAddress left, PciAddress right) => left.RequesterId >= right.RequesterId;

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Bus:x2}:{Device:x2}.{Function}");
}
