using System.Collections.Generic;
using System.Globalization;
using System.Numerics;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Spec;

/// <summary>
/// Names of feature bits as the specification writes them, without the prefix that says whose they are (virtio 1.2, section 6 and 5.1.3 to 5.4.3).
/// </summary>
public static class FeatureNames
{
    private const int FirstCommonBit = 24;
    private const int LastCommonBit = 41;

    private static readonly Dictionary<int, string> _common = new()
    {
        [28] = "INDIRECT_DESC",
        [29] = "EVENT_IDX",
        [32] = "VERSION_1",
        [33] = "ACCESS_PLATFORM",
        [34] = "RING_PACKED",
        [35] = "IN_ORDER",
        [36] = "ORDER_PLATFORM",
        [37] = "SR_IOV",
        [38] = "NOTIFICATION_DATA",
        [39] = "NOTIF_CONFIG_DATA",
        [40] = "RING_RESET",
        [41] = "ADMIN_VQ",
    };

    private static readonly Dictionary<VirtioDeviceType, Dictionary<int, string>> _byType = new()
    {
        [VirtioDeviceType.Net] = new()
        {
            [0] = "CSUM",
            [1] = "GUEST_CSUM",
            [2] = "CTRL_GUEST_OFFLOADS",
            [3] = "MTU",
            [5] = "MAC",
            [7] = "GUEST_TSO4",
            [8] = "GUEST_TSO6",
            [9] = "GUEST_ECN",
            [10] = "GUEST_UFO",
            [11] = "HOST_TSO4",
            [12] = "HOST_TSO6",
            [13] = "HOST_ECN",
            [14] = "HOST_UFO",
            [15] = "MRG_RXBUF",
            [16] = "STATUS",
            [17] = "CTRL_VQ",
            [18] = "CTRL_RX",
            [19] = "CTRL_VLAN",
            [20] = "CTRL_RX_EXTRA",
            [21] = "GUEST_ANNOUNCE",
            [22] = "MQ",
            [23] = "CTRL_MAC_ADDR",
            [53] = "NOTF_COAL",
            [57] = "HASH_REPORT",
            [60] = "RSS",
            [61] = "RSC_EXT",
            [62] = "STANDBY",
            [63] = "SPEED_DUPLEX",
        },
        [VirtioDeviceType.Block] = new()
        {
            [1] = "SIZE_MAX",
            [2] = "SEG_MAX",
            [4] = "GEOMETRY",
            [5] = "RO",
            [6] = "BLK_SIZE",
            [9] = "FLUSH",
            [10] = "TOPOLOGY",
            [11] = "CONFIG_WCE",
            [12] = "MQ",
            [13] = "DISCARD",
            [14] = "WRITE_ZEROES",
            [16] = "SECURE_ERASE",
        },
        [VirtioDeviceType.Console] = new()
        {
            [0] = "SIZE",
            [1] = "MULTIPORT",
            [2] = "EMERG_WRITE",
        },
    };

    /// <summary>Names the bits of a set in rising order; a bit without a name is called <c>bit N</c>.</summary>
    /// <param name="type">Whose bits those below 24 and above 41 are.</param>
    /// <param name="features">The set.</param>
    public static IEnumerable<string> Of(VirtioDeviceType type, ulong features)
    {
        for (ulong left = features; left != 0; left &= left - 1)
        {
            yield return NameOf(type, BitOperations.TrailingZeroCount(left));
        }
    }

    private static string NameOf(VirtioDeviceType type, int bit)
    {
        Dictionary<int, string>? names = bit is >= FirstCommonBit and <= LastCommonBit ? _common : _byType.GetValueOrDefault(type);
        return names?.GetValueOrDefault(bit) ?? string.Create(CultureInfo.InvariantCulture, $"bit {bit}");
    }
}
