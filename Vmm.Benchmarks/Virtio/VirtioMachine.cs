using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;

namespace Vmm.Benchmarks.Virtio;

/// <summary>A host bridge and 31 virtio functions; the one that is measured is device 16.</summary>
internal sealed class VirtioMachine : IMsiSink
{
    public const ulong FirstBar = 0xc000_0000;
    public const ulong BarStride = 0x8_0000;
    public const ulong Bar = FirstBar + (16 * BarStride);

    private const int Measured = 16;

    public VirtioMachine()
    {
        var domain = new AccessDomain();
        Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain });
        var bridge = new PciHostBridge(new PciHostBridgeOptions { Memory = Memory, BusCount = 1, MsiSink = this });
        bridge.ClaimConfigurationAccess();
        var ram = new GuestMemory();
        ram.Add(0, HostMemory.AllocateAnonymous(1 << 20), 0, 1 << 20);
        for (int device = 1; device < 32; device++)
        {
            var virtio = new NullVirtioDevice();
            var function = new VirtioPciFunction(virtio, new DmaTarget(ram));
            bridge.Root.Add(function, device);
            function.SetBarAddress(0, FirstBar + (BarStride * (ulong)device));
            function.WriteConfiguration(4, 2, 6);
            if (device == Measured)
            {
                Device = virtio;
                Function = function;
            }
        }
    }

    public AddressSpace Memory { get; }

    public VirtioPciFunction Function { get; } = null!;

    public NullVirtioDevice Device { get; } = null!;

    public ulong Messages { get; private set; }

    public bool Send(in MsiMessage message, uint requesterId)
    {
        Messages++;
        return true;
    }

    /// <summary>DRIVER_OK with the first queue on vector 1, unmasked.</summary>
    public void Start()
    {
        Write(CommonConfigurationOffset.DeviceStatus, 1, 0);
        Write(CommonConfigurationOffset.DeviceStatus, 1, 3);
        Write(CommonConfigurationOffset.DriverFeatureSelect, 4, 1);
        Write(CommonConfigurationOffset.DriverFeature, 4, 1);
        Write(CommonConfigurationOffset.DeviceStatus, 1, 0xb);
        Write(CommonConfigurationOffset.QueueDescriptors, 8, 0x10000);
        Write(CommonConfigurationOffset.QueueDriver, 8, 0x12000);
        Write(CommonConfigurationOffset.QueueDevice, 8, 0x13000);
        Write(CommonConfigurationOffset.QueueMsixVector, 2, 1);
        Write(CommonConfigurationOffset.QueueEnable, 2, 1);
        Write(CommonConfigurationOffset.DeviceStatus, 1, 0xf);
        MsixCapability msix = Function.Msix!;
        Memory.Write(Bar + msix.TableOffset + 16, 4, 0xfee0_0000);
        Memory.Write(Bar + msix.TableOffset + 16 + 12, 4, 0);
        Function.WriteConfiguration(msix.Offset + 2, 2, 0x8000);
    }

    private void Write(int offset, int width, ulong value) => Memory.Write(Bar + (uint)offset, width, value);
}
