using System.Globalization;
using Vmm.DeviceModel.Bus;

namespace Vmm.Virtio.Transport;

/// <summary>The notify addresses as a region of the BAR, for writes that no doorbell takes. There is nothing to read.</summary>
internal sealed class NotifyRegion(VirtioTransport transport) : IRegionHandler, IRegionNames
{
    /// <summary>Bytes from one queue's address to the next: a multiple of 4, for VIRTIO_F_NOTIFICATION_DATA (virtio 1.2, 4.1.4.4.1).</summary>
    public const int Multiplier = 4;

    public ulong Read(ulong offset, int width) => 0;

    public void Write(ulong offset, int width, ulong value)
    {
        // Between two queues' addresses there is no queue.
        transport.Notify(offset % Multiplier == 0 ? (int)(offset / Multiplier) : -1, width, value);
    }

    public string Describe(ulong offset, int selected) => string.Create(CultureInfo.InvariantCulture, $"notify[{offset / Multiplier}]");
}
