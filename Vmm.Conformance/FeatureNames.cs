using System.Globalization;

namespace Vmm.Conformance;

/// <summary>The names of the reserved feature bits (virtio 1.2, section 6).</summary>
internal static class FeatureNames
{
    public static string Of(int bit) => bit switch
    {
        28 => "VIRTIO_F_INDIRECT_DESC",
        29 => "VIRTIO_F_EVENT_IDX",
        32 => "VIRTIO_F_VERSION_1",
        33 => "VIRTIO_F_ACCESS_PLATFORM",
        34 => "VIRTIO_F_RING_PACKED",
        35 => "VIRTIO_F_IN_ORDER",
        36 => "VIRTIO_F_ORDER_PLATFORM",
        37 => "VIRTIO_F_SR_IOV",
        38 => "VIRTIO_F_NOTIFICATION_DATA",
        39 => "VIRTIO_F_NOTIF_CONFIG_DATA",
        40 => "VIRTIO_F_RING_RESET",
        _ => string.Create(CultureInfo.InvariantCulture, $"feature bit {bit}"),
    };
}
