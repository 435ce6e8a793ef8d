using System;

namespace Vmm.Pci.Access;

/// <summary>Memory that both the driver and the device reach.</summary>
/// <remarks>Disposal unmaps and then frees; who disposes makes sure that the device writes it no more.</remarks>
public interface IDmaBuffer : IDmaMapping
{
    /// <summary>The bytes, as the driver reaches them. Valid until disposal.</summary>
    Span<byte> Span { get; }

    /// <inheritdoc/>
    ulong IDmaMapping.Length => (ulong)Span.Length;

    /// <inheritdoc/>
    bool IDmaMapping.TryTranslate(ReadOnlySpan<byte> part, out ulong iova)
    {
        Span<byte> all = Span;
        bool isInside = all.Overlaps(part, out int offset) && offset >= 0 && part.Length <= all.Length - offset;
        iova = isInside ? Iova + (ulong)offset : 0;
        return isInside;
    }
}
