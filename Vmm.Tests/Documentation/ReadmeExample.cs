using System.IO;
using System.Linq;

namespace Vmm.Tests.Documentation;

/// <summary>The README's example, taken from there when the tests are built, and run to the end of its scope.</summary>
public sealed partial class ReadmeExample
{
    [Fact]
    public void The_guest_finds_the_disk_by_configuration_space_and_nothing_is_left_open()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[1 << 20]);
            var slots = new RecordingMemorySlots();

            // Vendor 1af4, device 1042: a virtio block device in slot 1 of the memory-mapped configuration space.
            ulong id = MmioExit(path, slots, new RecordingMsiSink(), 0xB000_8000, 4, isWrite: false, 0);

            id.Should().Be(0x1042_1af4);
            slots.Calls.Should().Contain("map 0+4000000");
            Directory.GetFiles("/proc/self/fd").Select(static entry => new FileInfo(entry).LinkTarget).Should().NotContain(path);
        }
        finally
        {
            File.Delete(path);
        }
    }
}
