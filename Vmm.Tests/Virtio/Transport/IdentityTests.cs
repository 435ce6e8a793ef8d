using System.Linq;
using Vmm.Tests.Interop;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 4.1.2 and 4.1.4: what the function says it is and where its structures lie.</summary>
[Trait("Behaviour", "VTP-1")]
public sealed class IdentityTests
{
    [Fact]
    public void The_ids_are_those_of_a_modern_virtio_device()
    {
        using var rig = new TransportRig();

        rig.Driver.ReadConfig(0, 2).Should().Be(0x1af4);
        rig.Driver.ReadConfig(2, 2).Should().Be(0x1042, "0x1040 plus the type of a block device");
        rig.Driver.ReadConfig(8, 1).Should().BeGreaterThanOrEqualTo(1, "revision 0 is transitional");
        rig.Driver.ReadConfig(0xb, 1).Should().Be(1, "a mass storage controller");
        rig.Driver.ReadConfig(0x2c, 2).Should().Be(0x1af4);
        rig.Driver.ReadConfig(0x2e, 2).Should().BeGreaterThanOrEqualTo(0x40);
        rig.Driver.ReadConfig(0x3d, 1).Should().Be(1, "INTA for drivers without MSI-X");
    }

    [Theory]
    [InlineData(VirtioDeviceType.Net, 0x1041u, 0x020000u)]
    [InlineData(VirtioDeviceType.Block, 0x1042u, 0x018000u)]
    [InlineData(VirtioDeviceType.Console, 0x1043u, 0x078000u)]
    [InlineData(VirtioDeviceType.Entropy, 0x1044u, 0x00ff00u)]
    public void The_device_id_and_the_class_follow_the_type(VirtioDeviceType type, uint id, uint classCode)
    {
        using var rig = new TransportRig(new FakeVirtioDevice { Type = type });
        rig.Driver.ReadConfig(2, 2).Should().Be(id);
        (rig.Driver.ReadConfig(8, 4) >> 8).Should().Be(classCode);
        rig.Driver.ReadConfig(8, 1).Should().Be(1);
    }

    [Fact]
    public void Each_structure_has_its_capability_with_the_length_that_its_type_demands()
    {
        using var rig = new TransportRig();
        var lengths = rig.Driver.Structures.ToDictionary(s => s.Key, s => rig.Driver.ReadConfig(s.Value.At + 2, 1));

        lengths.Should().BeEquivalentTo(new System.Collections.Generic.Dictionary<VirtioPciCapabilityType, uint>
        {
            [VirtioPciCapabilityType.CommonConfiguration] = 16,
            [VirtioPciCapabilityType.Notification] = 20,
            [VirtioPciCapabilityType.Isr] = 16,
            [VirtioPciCapabilityType.DeviceConfiguration] = 16,
            [VirtioPciCapabilityType.PciConfigurationAccess] = 20,
        });
        rig.Driver.Capabilities.Select(c => c.Id).Should().OnlyContain(id => id == 9 || id == 0x11 || id == 1 || id == 0x10);
        rig.Driver.Structures[VirtioPciCapabilityType.CommonConfiguration].Length.Should().BeGreaterThanOrEqualTo(0x40);
        rig.Driver.Structures[VirtioPciCapabilityType.DeviceConfiguration].Length.Should().Be(24, "that is what the device has");
        rig.Driver.Structures[VirtioPciCapabilityType.Notification].Length.Should().BeGreaterThanOrEqualTo(8, "two queues, 4 bytes each");
    }

    [Fact]
    public void Structures_lie_inside_one_BAR_without_overlap_and_MSIX_on_pages_of_its_own()
    {
        using var rig = new TransportRig(new FakeVirtioDevice(Enumerable.Repeat((ushort)16, 1500).ToArray()));
        int msix = rig.Driver.Capabilities.Single(c => c.Id == 0x11).Offset;
        uint vectors = (rig.Driver.ReadConfig(msix + 2, 2) & 0x7ff) + 1;
        vectors.Should().Be(1501);
        (uint Offset, uint Length)[] virtio = rig.Driver.Structures.Where(s => s.Key != VirtioPciCapabilityType.PciConfigurationAccess)
            .Select(s => (s.Value.Offset, s.Value.Length)).ToArray();
        (uint Offset, uint Length)[] interrupts =
        [
            (rig.Driver.ReadConfig(msix + 4, 4) & ~7u, vectors * 16),
            (rig.Driver.ReadConfig(msix + 8, 4) & ~7u, (vectors + 63) / 64 * 8),
        ];

        rig.Driver.Structures.Values.Select(s => s.Bar).Should().OnlyContain(bar => bar == 0);
        (uint Offset, uint Length)[] all = virtio.Concat(interrupts).OrderBy(s => s.Offset).ToArray();
        all.Zip(all.Skip(1)).Should().OnlyContain(pair => pair.First.Offset + pair.First.Length <= pair.Second.Offset);
        (all[^1].Offset + all[^1].Length).Should().BeLessThanOrEqualTo((uint)rig.Function.Bars[0].Size);
        foreach ((uint Offset, uint Length) part in interrupts)
        {
            var pages = Enumerable.Range((int)(part.Offset >> 12), (int)(((part.Offset + part.Length - 1) >> 12) - (part.Offset >> 12) + 1))
                .ToHashSet();
            all.Where(other => other != part).Should().OnlyContain(
                other => !pages.Contains((int)(other.Offset >> 12)) && !pages.Contains((int)((other.Offset + other.Length - 1) >> 12)));
        }
    }

    [Fact]
    public void A_device_without_configuration_has_no_capability_for_it()
    {
        using var rig = new TransportRig(new FakeVirtioDevice { Configuration = [] });

        rig.Driver.Structures.Should().NotContainKey(VirtioPciCapabilityType.DeviceConfiguration);
        rig.Driver.Negotiate().Should().BeTrue();
    }

    [Theory]
    [InlineData(null, 3u)]
    [InlineData(1, 1u)]
    [InlineData(2, 2u)]
    [InlineData(2048, 2048u)]
    public void Vectors_are_one_a_queue_and_one_for_configuration_unless_asked_otherwise(int? asked, uint expected)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = asked });
        int msix = rig.Driver.Capabilities.Single(c => c.Id == 0x11).Offset;

        ((rig.Driver.ReadConfig(msix + 2, 2) & 0x7ff) + 1).Should().Be(expected);
    }

    [Fact]
    public void A_device_with_more_queues_than_a_table_has_vectors_shares_them()
    {
        using var rig = new TransportRig(new FakeVirtioDevice(Enumerable.Repeat((ushort)16, 3000).ToArray()));
        rig.Function.Msix!.VectorCount.Should().Be(2048);
        rig.Driver.Structures[VirtioPciCapabilityType.Notification].Length.Should().Be(12000, "4 bytes a queue");
    }

    [Theory]
    [InlineData(1, 0x1000u)]
    [InlineData(256, 0x1000u)]
    [InlineData(257, 0x2000u)]
    public void What_fills_its_pages_takes_no_more_of_them(int vectors, uint expected)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = vectors });
        (rig.Function.Msix!.PendingOffset - rig.Function.Msix.TableOffset).Should().Be(expected);
    }

    [Fact]
    public void The_BAR_is_as_small_as_its_structures_allow()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = 0 });
        rig.Function.Bars[0].Size.Should().Be(0x4000, "common, ISR, device and notify");
        using var most = new TransportRig(new FakeVirtioDevice { Configuration = [] });
        most.Function.Bars[0].Size.Should().Be(0x8000, "common, ISR, notify, table and pending bits");
    }

    [Fact]
    public void A_queue_number_that_the_registers_cannot_say_is_refused()
    {
        using var rig = new TransportRig();
        FluentActions.Invoking(() => rig.AddFunction(new FakeVirtioDevice(Enumerable.Repeat((ushort)1, 65536).ToArray())))
            .Should().Throw<System.ArgumentException>().WithMessage("*65535*");
    }

    [Fact]
    public void Without_vectors_there_is_no_MSIX_capability()
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { Vectors = 0 });

        rig.Driver.Capabilities.Should().NotContain(c => c.Id == 0x11);
        rig.Driver.SetUpQueue(0, vector: 0, enable: false);
        rig.Driver.Get(Reg.QueueMsixVector, 2).Should().Be(0xffff);
    }

    [Fact]
    public void A_device_without_queues_is_carried()
    {
        using var rig = new TransportRig(new FakeVirtioDevice([]) { Configuration = [1] });
        var none = new NoQueueDevice();
        rig.AddFunction(none);
        var driver = new TestDriver(rig.Memory, TransportRig.EcamBase + (2 << 15));
        driver.Place(TransportRig.BarBase + 0x100000);

        driver.Get(Reg.NumQueues, 2).Should().Be(0);
        driver.Structures[VirtioPciCapabilityType.Notification].Length.Should().Be(4, "a structure is never empty");
        driver.Negotiate().Should().BeTrue();
        driver.Status = 0xf;
        none.Started.Should().BeTrue();
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(2049)]
    public void A_number_of_vectors_that_no_table_has_is_refused(int vectors)
    {
        using var rig = new TransportRig();

        FluentActions.Invoking(() => rig.AddFunction(new FakeVirtioDevice(), new VirtioPciOptions { Vectors = vectors }))
            .Should().Throw<System.ArgumentException>().WithMessage("*2048*");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(32769)]
    public void A_queue_size_that_no_split_ring_has_is_refused(int size)
    {
        using var rig = new TransportRig();

        FluentActions.Invoking(() => rig.AddFunction(new FakeVirtioDevice((ushort)size)))
            .Should().Throw<System.ArgumentException>().WithMessage("*power of two*");
    }

    [CompilerFact]
    [Trait("Behaviour", "VTP-2")]
    public void Offsets_and_constants_are_those_of_the_headers()
    {
        new CHeaderCheck("linux/virtio_pci.h", "linux/virtio_config.h", "linux/virtio_ids.h")
            .Equal("VIRTIO_PCI_COMMON_DFSELECT", Reg.DeviceFeatureSelect)
            .Equal("VIRTIO_PCI_COMMON_DF", Reg.DeviceFeature)
            .Equal("VIRTIO_PCI_COMMON_GFSELECT", Reg.DriverFeatureSelect)
            .Equal("VIRTIO_PCI_COMMON_GF", Reg.DriverFeature)
            .Equal("VIRTIO_PCI_COMMON_MSIX", Reg.ConfigMsixVector)
            .Equal("VIRTIO_PCI_COMMON_NUMQ", Reg.NumQueues)
            .Equal("VIRTIO_PCI_COMMON_STATUS", Reg.DeviceStatus)
            .Equal("VIRTIO_PCI_COMMON_CFGGENERATION", Reg.ConfigGeneration)
            .Equal("VIRTIO_PCI_COMMON_Q_SELECT", Reg.QueueSelect)
            .Equal("VIRTIO_PCI_COMMON_Q_SIZE", Reg.QueueSize)
            .Equal("VIRTIO_PCI_COMMON_Q_MSIX", Reg.QueueMsixVector)
            .Equal("VIRTIO_PCI_COMMON_Q_ENABLE", Reg.QueueEnable)
            .Equal("VIRTIO_PCI_COMMON_Q_NOFF", Reg.QueueNotifyOff)
            .Equal("VIRTIO_PCI_COMMON_Q_DESCLO", Reg.QueueDescriptors)
            .Equal("VIRTIO_PCI_COMMON_Q_AVAILLO", Reg.QueueDriver)
            .Equal("VIRTIO_PCI_COMMON_Q_USEDLO", Reg.QueueDevice)
            .Equal("VIRTIO_PCI_COMMON_Q_NDATA", Reg.QueueNotifyData)
            .Equal("VIRTIO_PCI_COMMON_Q_RESET", Reg.QueueReset)
            .Equal("VIRTIO_PCI_CAP_COMMON_CFG", (long)VirtioPciCapabilityType.CommonConfiguration)
            .Equal("VIRTIO_PCI_CAP_NOTIFY_CFG", (long)VirtioPciCapabilityType.Notification)
            .Equal("VIRTIO_PCI_CAP_ISR_CFG", (long)VirtioPciCapabilityType.Isr)
            .Equal("VIRTIO_PCI_CAP_DEVICE_CFG", (long)VirtioPciCapabilityType.DeviceConfiguration)
            .Equal("VIRTIO_PCI_CAP_PCI_CFG", (long)VirtioPciCapabilityType.PciConfigurationAccess)
            .Equal("VIRTIO_PCI_CAP_SHARED_MEMORY_CFG", (long)VirtioPciCapabilityType.SharedMemory)
            .Equal("sizeof(struct virtio_pci_cap)", VirtioPciIds.CapabilityLength)
            .Equal("sizeof(struct virtio_pci_cap64)", VirtioPciIds.Capability64Length)
            .Equal("sizeof(struct virtio_pci_notify_cap)", VirtioPciIds.NotificationCapabilityLength)
            .Equal("sizeof(struct virtio_pci_cfg_cap)", VirtioPciIds.PciConfigurationAccessCapabilityLength)
            .Equal("VIRTIO_MSI_NO_VECTOR", VirtioPciIds.NoVector)
            .Equal("VIRTIO_PCI_ISR_CONFIG", (long)IsrStatus.Configuration)
            .Equal("VIRTIO_CONFIG_S_ACKNOWLEDGE", (long)DeviceStatus.Acknowledge)
            .Equal("VIRTIO_CONFIG_S_DRIVER", (long)DeviceStatus.Driver)
            .Equal("VIRTIO_CONFIG_S_DRIVER_OK", (long)DeviceStatus.DriverOk)
            .Equal("VIRTIO_CONFIG_S_FEATURES_OK", (long)DeviceStatus.FeaturesOk)
            .Equal("VIRTIO_CONFIG_S_NEEDS_RESET", (long)DeviceStatus.NeedsReset)
            .Equal("VIRTIO_CONFIG_S_FAILED", (long)DeviceStatus.Failed)
            .Equal("1ull << VIRTIO_F_VERSION_1", TransportFeatures.Version1)
            .Equal("1ull << VIRTIO_F_ACCESS_PLATFORM", TransportFeatures.AccessPlatform)
            .Equal("1ull << VIRTIO_F_RING_RESET", TransportFeatures.RingReset)
            .Equal("1ull << VIRTIO_F_IN_ORDER", RingFeatures.InOrder)
            .Run();
    }

    private sealed class NoQueueDevice : Vmm.Virtio.Devices.VirtioDevice
    {
        public bool Started { get; private set; }

        public override Vmm.Virtio.Devices.VirtioDeviceType DeviceType => Vmm.Virtio.Devices.VirtioDeviceType.Entropy;

        public override ulong OfferedFeatures => 0;

        public override System.Collections.Generic.IReadOnlyList<ushort> QueueSizes => [];

        public override void Start(ulong features, Vmm.Virtio.Devices.IVirtioDeviceHost host) => Started = true;

        public override bool TryStartQueue(
            Vmm.Virtio.Queues.QueueResources queue, [System.Diagnostics.CodeAnalysis.NotNullWhen(false)] out string? reason)
        {
            reason = "there is no queue";
            return false;
        }

        public override Vmm.Virtio.Queues.VirtqueueState? StopQueue(int index) => null;

        public override void Reset()
        {
        }
    }
}
