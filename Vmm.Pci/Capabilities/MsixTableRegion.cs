using System.Globalization;
using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Capabilities;

/// <summary>The MSI-X table as a BAR region: 4 and 8 byte accesses, the rest is ignored and reads all-ones (MSIX-3).</summary>
internal sealed class MsixTableRegion(MsixCapability owner, MsixVector[] vectors) : IRegionHandler, IRegionNames
{
    private static readonly string[] Fields = ["message_address", "message_upper_address", "message_data", "vector_control"];

    public ulong Read(ulong offset, int width)
    {
        ulong index = offset >> 4;
        if (index >= (ulong)vectors.Length || (offset & 3) != 0)
        {
            return ulong.MaxValue;
        }

        int field = (int)(offset >> 2) & 3;
        if (width == 4)
        {
            return vectors[index].ReadDword(field);
        }

        if (width != 8)
        {
            return ulong.MaxValue;
        }

        // At offset 12 the upper half is the next entry's.
        ulong high = field < 3 ? vectors[index].ReadDword(field + 1)
            : index + 1 < (ulong)vectors.Length ? vectors[index + 1].ReadDword(0)
            : uint.MaxValue;
        return vectors[index].ReadDword(field) | (high << 32);
    }

    public void Write(ulong offset, int width, ulong value)
    {
        ulong index = offset >> 4;
        if (index >= (ulong)vectors.Length || (offset & 3) != 0)
        {
            return;
        }

        int field = (int)(offset >> 2) & 3;
        int touched = 1;
        if (width == 4)
        {
            vectors[index].Write(field, 1, value);
        }
        else if (width == 8 && field < 3)
        {
            vectors[index].Write(field, 2, value);
        }
        else if (width == 8)
        {
            vectors[index].Write(field, 1, (uint)value);
            if (index + 1 < (ulong)vectors.Length)
            {
                vectors[index + 1].Write(0, 1, value >> 32);
                touched = 2;
            }
        }
        else
        {
            return;
        }

        // A hook that throws takes this region out of service, as any region of a BAR (BUS-8).
        owner.VectorsWritten?.Invoke((int)index, touched);
    }

    public string Describe(ulong offset, int selected)
    {
        string within = (offset & 3) == 0 ? "" : string.Create(CultureInfo.InvariantCulture, $"+{offset & 3}");
        return string.Create(CultureInfo.InvariantCulture, $"msix_table.{Fields[(offset >> 2) & 3]}[{offset >> 4}]{within}");
    }
}
