using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The ISR status byte as a region of the BAR, of one byte, so no access is wider: reading clears it, writes are ignored.</summary>
internal sealed class IsrRegion(IsrRegister isr) : IRegionHandler, IRegionNames
{
    public ulong Read(ulong offset, int width) => (ulong)isr.ReadAndClear();

    public void Write(ulong offset, int width, ulong value)
    {
    }

    public string Describe(ulong offset, int selected) => "isr_status";
}
