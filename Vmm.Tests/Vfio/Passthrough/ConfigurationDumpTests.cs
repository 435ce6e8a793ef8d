using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.Pci.Diagnostics;
using Vmm.Tests.Fakes;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>The dump of a passed-through function is what the guest reads, the device's own registers too.</summary>
[Trait("Behaviour", "PCI-15")]
[Trait("Behaviour", "VFIO-6")]
public sealed class ConfigurationDumpTests
{
    [Fact]
    public void Every_byte_is_as_the_guest_reads_it()
    {
        FakePciDevice device = VfioRig.Card();
        device.Set(0x0c, 1, 0x10);
        device.Set(0xa0, 4, 0x1234_5678);
        device.Set(0x100, 4, 0x1501_0001);
        device.Set(0x150, 4, 0x0001_0003);
        device.Set(0x154, 4, 0x89ab_cdef);
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Clear();
        var writer = new StringWriter();

        PciConfigurationDump.Write(rig.Function, writer);

        device.Calls.Should().BeEmpty("looking writes nothing");
        byte[] dumped =
        [
            .. from line in writer.ToString().Split('\n').Skip(1)
               where line.Length > 4
               from part in line[4..].Trim().Split(' ')
               select byte.Parse(part, NumberStyles.HexNumber, CultureInfo.InvariantCulture),
        ];
        dumped.Should().Equal(Enumerable.Range(0, 4096).Select(offset => (byte)rig.Read(offset, 1)));
        dumped[0xa0..0xa4].Should().Equal(0x78, 0x56, 0x34, 0x12);
        dumped[0x154..0x158].Should().Equal(0xef, 0xcd, 0xab, 0x89);
        dumped[4].Should().Be(6);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-13")]
    public void A_device_that_does_not_answer_shows_as_ones()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        device.Fail = call => call.StartsWith("read ", System.StringComparison.Ordinal);
        var writer = new StringWriter();

        PciConfigurationDump.Write(rig.Function, writer);

        writer.ToString().Should().Contain("\n000: 86 80 78 56 ").And.Contain("\n0a0: ff ff ff ff");
    }
}
