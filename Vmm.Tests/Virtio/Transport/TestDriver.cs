using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A driver's hands: configuration space by ECAM, structures found by their capabilities, registers by the bus.</summary>
internal sealed class TestDriver
{
    public const ulong Version1 = TransportFeatures.Version1;

    private readonly AddressSpace _bus;
    private readonly ulong _config;

    public TestDriver(AddressSpace bus, ulong configuration)
    {
        _bus = bus;
        _config = configuration;
        Walk();
    }

    /// <summary>Offsets of the capabilities in configuration space, with their ids.</summary>
    public List<(int Offset, byte Id)> Capabilities { get; } = [];

    /// <summary>Virtio structures: type to bar, offset, length, capability offset.</summary>
    public Dictionary<VirtioPciCapabilityType, (int Bar, uint Offset, uint Length, int At)> Structures { get; } = [];

    public ulong Bar { get; private set; }

    public ulong Common => Bar + Structures[VirtioPciCapabilityType.CommonConfiguration].Offset;

    public ulong Isr => Bar + Structures[VirtioPciCapabilityType.Isr].Offset;

    public ulong Config => Bar + Structures[VirtioPciCapabilityType.DeviceConfiguration].Offset;

    public byte Status
    {
        get => (byte)Get(Reg.DeviceStatus, 1);
        set => Set(Reg.DeviceStatus, 1, value);
    }

    public uint ReadConfig(int offset, int width) => (uint)_bus.Read(_config + (uint)offset, width);

    public void WriteConfig(int offset, int width, uint value) => _bus.Write(_config + (uint)offset, width, value);

    public ulong Get(int offset, int width) => _bus.Read(Common + (uint)offset, width);

    public void Set(int offset, int width, ulong value) => _bus.Write(Common + (uint)offset, width, value);

    /// <summary>Brings the function to D0, programs the BAR and switches decoding and bus mastering on.</summary>
    public void Place(ulong bar)
    {
        Bar = bar;
        WriteConfig(Capabilities.Find(c => c.Id == 1).Offset + 4, 2, 0);
        WriteConfig(0x10, 4, (uint)bar);
        WriteConfig(0x14, 4, (uint)(bar >> 32));
        WriteConfig(0x04, 2, 6);
    }

    public ulong NotifyAddress(int queue)
    {
        Set(Reg.QueueSelect, 2, (uint)queue);
        (int Bar, uint Offset, uint Length, int At) notify = Structures[VirtioPciCapabilityType.Notification];
        return Bar + notify.Offset + (Get(Reg.QueueNotifyOff, 2) * ReadConfig(notify.At + 16, 4));
    }

    public void Notify(int queue, int width = 2) => _bus.Write(NotifyAddress(queue), width, (uint)queue);

    public ulong OfferedFeatures()
    {
        Set(Reg.DeviceFeatureSelect, 4, 0);
        ulong features = Get(Reg.DeviceFeature, 4);
        Set(Reg.DeviceFeatureSelect, 4, 1);
        return features | (Get(Reg.DeviceFeature, 4) << 32);
    }

    public void Acknowledge(ulong features)
    {
        Set(Reg.DriverFeatureSelect, 4, 0);
        Set(Reg.DriverFeature, 4, (uint)features);
        Set(Reg.DriverFeatureSelect, 4, 1);
        Set(Reg.DriverFeature, 4, features >> 32);
    }

    /// <summary>Up to FEATURES_OK with the given features; true if it was accepted.</summary>
    public bool Negotiate(ulong features = Version1)
    {
        Status = 0;
        Status = 1;
        Status = 3;
        Acknowledge(features);
        Status = 0xb;
        return Status == 0xb;
    }

    /// <summary>Where the areas of a queue are put in guest memory.</summary>
    public static (ulong Descriptors, ulong Driver, ulong Device) Areas(int queue)
    {
        ulong at = 0x10000 + ((ulong)queue * 0x4000);
        return (at, at + 0x2000, at + 0x3000);
    }

    /// <summary>Sets a queue up and enables it.</summary>
    public void SetUpQueue(int queue, ushort size = 16, ushort vector = VirtioPciIds.NoVector, bool enable = true)
    {
        (ulong descriptors, ulong driver, ulong device) = Areas(queue);
        Set(Reg.QueueSelect, 2, (uint)queue);
        Set(Reg.QueueSize, 2, size);
        Set(Reg.QueueDescriptors, 4, (uint)descriptors);
        Set(Reg.QueueDescriptors + 4, 4, descriptors >> 32);
        Set(Reg.QueueDriver, 8, driver);
        Set(Reg.QueueDevice, 4, (uint)device);
        Set(Reg.QueueMsixVector, 2, vector);
        if (enable)
        {
            Set(Reg.QueueEnable, 2, 1);
        }
    }

    /// <summary>The whole way to DRIVER_OK with some queues.</summary>
    public void Start(ulong features = Version1, params int[] queues)
    {
        Negotiate(features).Should().BeTrue();
        foreach (int queue in queues)
        {
            SetUpQueue(queue, vector: (ushort)(UsesMsix ? queue + 1 : VirtioPciIds.NoVector));
        }

        Status = 0xf;
    }

    public bool UsesMsix { get; private set; }

    /// <summary>Enables MSI-X with message <c>address / first + index</c> in every entry, unmasked.</summary>
    public void EnableMsix(uint address = 0xfee00000, uint first = 0)
    {
        int at = Capabilities.Find(c => c.Id == 0x11).Offset;
        uint table = ReadConfig(at + 4, 4) & ~7u;
        uint count = (ReadConfig(at + 2, 2) & 0x7ff) + 1;
        for (uint i = 0; i < count; i++)
        {
            _bus.Write(Bar + table + (16 * i), 4, address);
            _bus.Write(Bar + table + (16 * i) + 8, 4, first + i);
            _bus.Write(Bar + table + (16 * i) + 12, 4, 0);
        }

        WriteConfig(at + 2, 2, 0x8000);
        UsesMsix = true;
    }

    public void DisableMsix()
    {
        WriteConfig(Capabilities.Find(c => c.Id == 0x11).Offset + 2, 2, 0);
        UsesMsix = false;
    }

    /// <summary>Masks or unmasks an entry of the MSI-X table.</summary>
    public void MaskVector(uint vector, bool masked) => _bus.Write(Table(4) + (16 * vector) + 12, 4, masked ? 1u : 0);

    /// <summary>Writes the data of an entry of the MSI-X table.</summary>
    public void WriteVectorData(uint vector, uint data) => _bus.Write(Table(4) + (16 * vector) + 8, 4, data);

    /// <summary>Sets Enable and Function Mask of MSI-X.</summary>
    public void WriteMsixControl(uint control) => WriteConfig(Capabilities.Find(c => c.Id == 0x11).Offset + 2, 2, control);

    /// <summary>The first 64 pending bits.</summary>
    public ulong PendingBits() => _bus.Read(Table(8), 8);

    /// <summary>Maps a queue to a vector.</summary>
    public void MapQueue(int queue, ushort vector)
    {
        Set(Reg.QueueSelect, 2, (uint)queue);
        Set(Reg.QueueMsixVector, 2, vector);
    }

    /// <summary>An access through the configuration window.</summary>
    public void AimWindow(byte bar, uint offset, uint length)
    {
        int at = Structures[VirtioPciCapabilityType.PciConfigurationAccess].At;
        WriteConfig(at + 4, 1, bar);
        WriteConfig(at + 8, 4, offset);
        WriteConfig(at + 12, 4, length);
    }

    public uint ReadWindow(int width = 4) => ReadConfig(Structures[VirtioPciCapabilityType.PciConfigurationAccess].At + 16, width);

    public void WriteWindow(uint value, int width = 4)
    {
        WriteConfig(Structures[VirtioPciCapabilityType.PciConfigurationAccess].At + 16, width, value);
    }

    /// <summary>The common configuration as text, each queue's registers in turn. Selectors keep their values.</summary>
    public List<string> DumpRegisters()
    {
        var lines = new List<string>();
        ulong select = Get(Reg.QueueSelect, 2);
        foreach (int offset in new[] { Reg.DeviceFeatureSelect, Reg.DeviceFeature, Reg.DriverFeatureSelect, Reg.DriverFeature })
        {
            lines.Add($"{offset:x2}: {Get(offset, 4):x}");
        }

        lines.Add(
            $"vector {Get(Reg.ConfigMsixVector, 2):x} queues {Get(Reg.NumQueues, 2)} status {Status:x} generation {Get(Reg.ConfigGeneration, 1)}");
        lines.Add($"select {select:x}");
        for (uint queue = 0; queue <= Get(Reg.NumQueues, 2); queue++)
        {
            Set(Reg.QueueSelect, 2, queue);
            lines.Add(
                $"queue {queue}: size {Get(Reg.QueueSize, 2)} vector {Get(Reg.QueueMsixVector, 2):x} "
                + $"enable {Get(Reg.QueueEnable, 2)} off {Get(Reg.QueueNotifyOff, 2)} "
                + $"desc {Get(Reg.QueueDescriptors, 8):x} driver {Get(Reg.QueueDriver, 8):x} device {Get(Reg.QueueDevice, 8):x} "
                + $"data {Get(Reg.QueueNotifyData, 2):x} reset {Get(Reg.QueueReset, 2):x}");
        }

        Set(Reg.QueueSelect, 2, select);
        return lines;
    }

    /// <summary>The table's address, or that of the pending bits, by their field in the capability.</summary>
    private ulong Table(int field) => Bar + (ReadConfig(Capabilities.Find(c => c.Id == 0x11).Offset + field, 4) & ~7u);

    private void Walk()
    {
        for (int at = (int)ReadConfig(0x34, 1); at != 0 && Capabilities.Count < 48; at = (int)ReadConfig(at + 1, 1))
        {
            byte id = (byte)ReadConfig(at, 1);
            Capabilities.Add((at, id));
            if (id == 9)
            {
                Structures.TryAdd(
                    (VirtioPciCapabilityType)ReadConfig(at + 3, 1),
                    ((int)ReadConfig(at + 4, 1), ReadConfig(at + 8, 4), ReadConfig(at + 12, 4), at));
            }
        }
    }
}
