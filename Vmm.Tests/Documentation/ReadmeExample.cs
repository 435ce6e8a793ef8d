using System.IO;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Host;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Documentation;

/// <summary>The README's example: compiled here, quoted there.</summary>
public sealed class ReadmeExample
{
    [Fact]
    public void The_guest_finds_the_disk_by_configuration_space()
    {
        string path = Path.GetTempFileName();
        try
        {
            File.WriteAllBytes(path, new byte[1 << 20]);

            // Vendor 1af4, device 1042: a virtio block device in slot 1 of the memory-mapped configuration space.
            ulong id = MmioExit(path, new RecordingMemorySlots(), new RecordingMsiSink(), 0xB000_8000, 4, isWrite: false, 0);

            id.Should().Be(0x1042_1af4);
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static ulong MmioExit(string path, IMemorySlots slots, IMsiSink msi, ulong address, int width, bool isWrite, ulong value)
    {
        // <example>
        var memory = new AddressSpace(new() { MemorySlots = slots });
        using var host = HostMemory.AllocateAnonymous(64 << 20);
        using var ram = new SystemRam(memory);
        ram.Add(0, host);

        var bridge = new PciHostBridge(new()
        {
            Memory = memory,
            MsiSink = msi,
            Windows = [new PciWindow(AddressSpaceKind.Memory, 0xC000_0000, 0x1000_0000)],
        });
        bridge.ClaimConfigurationAccess();
        using var disk = new VirtioPciFunction(new BlockDevice(RawFileBackend.Open(path, readOnly: false)), new DmaTarget(ram.Memory));
        bridge.Root.Add(disk, device: 1);
        bridge.Root.AssignResources();

        // In your run loop, at an MMIO exit:
        if (isWrite) { memory.Write(address, width, value); } else { value = memory.Read(address, width); }
        // </example>
        bridge.Root.Remove(disk);
        return value;
    }
}
