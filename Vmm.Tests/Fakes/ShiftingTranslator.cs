using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.Fakes;

/// <summary>An IOMMU whose device sees memory higher than it lies, page by page, without one page if a test wants.</summary>
public sealed class ShiftingTranslator(ulong start) : IDmaTranslator
{
    public ulong Base => start;

    /// <summary>An address in the page that is not mapped.</summary>
    public ulong Unmapped { get; set; } = ulong.MaxValue;

    /// <summary>Translations for writing.</summary>
    public int Writes { get; private set; }

    public bool TryTranslate(ulong iova, ulong length, bool write, out ulong address, out ulong contiguous)
    {
        address = iova - start;
        contiguous = Math.Min(length, 4096 - (iova % 4096));
        Writes += write ? 1 : 0;
        return iova >= start && iova / 4096 != Unmapped / 4096;
    }
}
