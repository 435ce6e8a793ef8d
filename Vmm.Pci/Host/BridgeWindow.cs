namespace Vmm.Pci.Host;

/// <summary>A range that a bridge forwards downstream; closed if its limit lies below its base.</summary>
/// <param name="Base">First address.</param>
/// <param name="Limit">Last address.</param>
public readonly record struct BridgeWindow(ulong Base, ulong Limit)
{
    /// <summary>True if it forwards anything.</summary>
    public bool IsOpen => Base <= Limit;

    /// <summary>True if it forwards all of a range.</summary>
    /// <param name="address">First address.</param>
    /// <param name="length">Bytes, at least 1.</param>
    public bool Contains(ulong address, ulong length) => address >= Base && address <= Limit && length - 1 <= Limit - address;

    /// <inheritdoc/>
    public override string ToString() => IsOpen ? $"0x{Base:x}-0x{Limit:x}" : "closed";
}
