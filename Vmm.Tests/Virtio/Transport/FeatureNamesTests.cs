using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using Vmm.Tests.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Names of feature bits against the kernel's headers.</summary>
public sealed class FeatureNamesTests
{
    [CompilerFact]
    public void Every_bit_that_the_headers_name_has_that_name()
    {
        (VirtioDeviceType Type, string Prefix, string Header)[] groups =
        [
            (VirtioDeviceType.Net, "VIRTIO_NET_F_", "linux/virtio_net.h"), (VirtioDeviceType.Block, "VIRTIO_BLK_F_", "linux/virtio_blk.h"),
            (VirtioDeviceType.Console, "VIRTIO_CONSOLE_F_", "linux/virtio_console.h"),
            (VirtioDeviceType.Entropy, "VIRTIO_F_", "linux/virtio_config.h"),
            (VirtioDeviceType.Entropy, "VIRTIO_RING_F_", "linux/virtio_ring.h"),
        ];
        int named = 0;
        foreach ((VirtioDeviceType type, string prefix, string header) in groups)
        {
            var check = new CHeaderCheck(header);
            string text = File.ReadAllText("/usr/include/" + header);
            for (int bit = 0; bit < 64; bit++)
            {
                string name = FeatureNames.Of(type, 1UL << bit).Single();
                if (Regex.IsMatch(text, $@"#define\s+{prefix}{Regex.Escape(name)}\s"))
                {
                    check.Equal(prefix + name, bit);
                    named++;
                }
            }

            check.Run();
        }

        named.Should().BeGreaterThan(45);
    }

    [Fact]
    public void Names_come_in_rising_order_and_strangers_by_number()
    {
        FeatureNames.Of(VirtioDeviceType.Block, 1UL | (1UL << 9) | (1UL << 28) | (1UL << 32) | (1UL << 63))
            .Should().Equal("bit 0", "FLUSH", "INDIRECT_DESC", "VERSION_1", "bit 63");
        FeatureNames.Of(VirtioDeviceType.Net, 0).Should().BeEmpty();
    }
}
