using System.Globalization;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Capabilities;

/// <summary>The pending bit array as a BAR region: read-only, whole quad-words, 4 and 8 byte accesses (MSIX-6).</summary>
internal sealed class MsixPendingRegion(MsixVector[] vectors) : IRegionHandler, IRegionNames
{
    public ulong Read(ulong offset, int width)
    {
        if (width is not (4 or 8) || (offset & 3) != 0 || offset >= MsixCapability.PendingLength(vectors.Length))
        {
            return ulong.MaxValue;
        }

        ulong bits = 0;
        int first = (int)offset * 8;
        for (int bit = 0; bit < width * 8 && first + bit < vectors.Length; bit++)
        {
            if (vectors[first + bit].IsPending)
            {
                bits |= 1ul << bit;
            }
        }

        return bits;
    }

    public void Write(ulong offset, int width, ulong value)
    {
        // Read-only to the guest.
    }

    public string Describe(ulong offset, int selected)
    {
        return string.Create(CultureInfo.InvariantCulture, $"msix_pending[{offset * 8}..{(offset * 8) + 31}]");
    }
}
