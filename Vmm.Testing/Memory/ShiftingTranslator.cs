using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Testing.Memory;

/// <summary>An IOMMU whose device sees memory higher than it lies, page by page, without one page if a test wants.</summary>
/// <param name="start">Device address of guest-physical 0; nothing below it is mapped.</param>
public sealed class ShiftingTranslator(ulong start) : IDmaTranslator
{
    /// <summary>Device address of guest-physical 0.</summary>
    public ulong Base => start;

    /// <summary>A device address in the page that is not mapped.</summary>
    public ulong Unmapped { get; set; } = ulong.MaxValue;

    /// <summary>Translations for writing so far.</summary>
    public int Writes { get; private set; }

    /// <inheritdoc/>
    public bool TryTranslate(ulong iova, ulong length, bool write, out ulong address, out ulong contiguous)
    {
        address = iova - start;
        contiguous = Math.Min(length, 4096 - (iova % 4096));
        Writes += write ? 1 : 0;
        return iova >= start && iova / 4096 != Unmapped / 4096;
    }
}
