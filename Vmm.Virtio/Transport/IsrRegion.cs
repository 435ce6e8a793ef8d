using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The ISR status byte as a region of the BAR: reading clears it, writes are ignored.</summary>
internal sealed class IsrRegion(IsrRegister isr) : IRegionHandler
{
    public ulong Read(ulong offset, int width) => offset == 0 && width == 1 ? (ulong)isr.ReadAndClear() : ulong.MaxValue;

    public void Write(ulong offset, int width, ulong value)
    {
    }
}
