using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Memory;

namespace Vmm.Testing.Memory;

/// <summary>An IOMMU that knows each page by itself, for reading, for writing or for both. Pages are mapped before devices run.</summary>
public sealed class PageTranslator : IDmaTranslator
{
    private const ulong PageSize = 4096;

    private readonly Dictionary<ulong, (ulong Page, bool Read, bool Write)> _pages = [];

    /// <summary>Maps the page of 4 KiB of a device address to the page of a guest-physical one.</summary>
    /// <param name="iova">Device address, anywhere in its page.</param>
    /// <param name="address">Guest-physical address, anywhere in its page.</param>
    /// <param name="read">The device may read there.</param>
    /// <param name="write">The device may write there.</param>
    public void Map(ulong iova, ulong address, bool read, bool write) => _pages[iova / PageSize] = (address / PageSize, read, write);

    /// <inheritdoc/>
    public bool TryTranslate(ulong iova, ulong length, bool write, out ulong address, out ulong contiguous)
    {
        contiguous = Math.Min(length, PageSize - (iova % PageSize));
        bool mapped = _pages.TryGetValue(iova / PageSize, out (ulong Page, bool Read, bool Write) page) && (write ? page.Write : page.Read);
        address = mapped ? (page.Page * PageSize) + (iova % PageSize) : 0;
        return mapped;
    }
}
