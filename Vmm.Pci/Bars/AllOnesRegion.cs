using Vmm.DeviceModel.Bus;

namespace Vmm.Pci.Bars;

/// <summary>Answers the parts of a BAR that no region covers: all-ones, writes dropped.</summary>
internal sealed class AllOnesRegion : IRegionHandler
{
    public static readonly AllOnesRegion Instance = new();

    public ulong Read(ulong offset, int width) => ulong.MaxValue;

    public void Write(ulong offset, int width, ulong value)
    {
    }
}
