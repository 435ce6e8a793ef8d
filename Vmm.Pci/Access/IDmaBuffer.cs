using System;

namespace Vmm.Pci.Access;

/// <summary>Memory that both the driver and the device reach.</summary>
/// <remarks>Disposal unmaps and then frees; who disposes makes sure that the device writes it no more.</remarks>
public interface IDmaBuffer : IDisposable
{
    /// <summary>Where the device finds the first byte.</summary>
    ulong Iova { get; }

    /// <summary>The bytes, as the driver reaches them. Valid until disposal.</summary>
    Span<byte> Span { get; }
}
