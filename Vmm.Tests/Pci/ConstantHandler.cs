using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.Pci;

/// <summary>A region that reads as one value everywhere; for many threads.</summary>
internal sealed class ConstantHandler(ulong value) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => value;

    public void Write(ulong offset, int width, ulong value)
    {
    }
}
