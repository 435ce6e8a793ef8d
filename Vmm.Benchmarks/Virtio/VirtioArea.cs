using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Interrupts;
using Offset = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Benchmarks.Virtio;

/// <summary>The virtio-pci transport: registers by themselves, through a bus with 32 functions, a driver's initialisation, an interrupt.</summary>
internal sealed class VirtioArea : IBenchmarkArea
{
    private const int Operations = 4096;
    private const string Peer = "cloud-hypervisor";

    // A driver's way to the point before DRIVER_OK: width and offset, and the value of a write.
    private static readonly (int Width, int Offset, long Value)[] Initialisation =
    [
        (1, 0x14, 0), (1, 0x14, -1), (1, 0x14, -1), (1, 0x14, 1), (1, 0x14, -1), (1, 0x14, 3), (4, 0x00, 0), (4, 0x04, -1), (4, 0x00, 1),
        (4, 0x04, -1), (4, 0x08, 0), (4, 0x0c, 0x30000644), (4, 0x08, 1), (4, 0x0c, 1), (1, 0x14, -1), (1, 0x14, 0xb), (1, 0x14, -1),
        (2, 0x10, 0), (2, 0x10, -1), (2, 0x12, -1), (2, 0x16, 0), (2, 0x18, -1), (2, 0x1c, -1), (2, 0x18, 0x100), (4, 0x20, 0x10000),
        (4, 0x24, 0), (4, 0x28, 0x12000), (4, 0x2c, 0), (4, 0x30, 0x13000), (4, 0x34, 0), (2, 0x1e, -1), (2, 0x1a, 1), (2, 0x1a, -1),
        (2, 0x1c, 1),
    ];

    private readonly VirtioMachine _machine = new();
    private readonly IRegionHandler _common;
    private IInterruptVector? _vector;
    private int _offset;
    private int _width;

    public VirtioArea()
    {
        _common = _machine.Function.Bars[0].Regions.Single(region => region.Name == "common").Handler!;
    }

    public string Name => "virtio";

    public string Title => "virtio-pci: common configuration, 4 queues, through a bus with 32 functions";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        _common.Write(Offset.DeviceStatus, 1, 3);
        _common.Write(Offset.QueueSelect, 2, 1);
        yield return Read("region: read device_status", Offset.DeviceStatus, 1);
        yield return Read("region: read config_generation", Offset.ConfigGeneration, 1);
        yield return Read("region: read queue_size", Offset.QueueSize, 2);
        yield return Read("region: read queue_msix_vector", Offset.QueueMsixVector, 2);
        yield return Read("region: read device_feature", Offset.DeviceFeature, 4);
        yield return Read("region: read driver_feature", Offset.DriverFeature, 4);
        yield return Read("region: read queue_desc, low half", Offset.QueueDescriptors, 4);
        yield return Write("region: write queue_select", Offset.QueueSelect, 2);
        yield return Write("region: write device_feature_select", Offset.DeviceFeatureSelect, 4);
        yield return Write("region: write queue_desc, low half", Offset.QueueDescriptors, 4);
        yield return ReadWhole("whole path: read device_status", Offset.DeviceStatus, 1).Against(Peer, 55, 15);
        yield return ReadWhole("whole path: read device_feature", Offset.DeviceFeature, 4).Against(Peer, 68, 15);
        yield return Aimed("whole path: write queue_select", Offset.QueueSelect, 2, WriteWholePath).Against(Peer, 55, 15);
        yield return BenchmarkRow.Of("driver initialisation, per access", 34 * 120, Initialise).Against(Peer, 59, 20);
        _machine.Start();
        _vector = _machine.Device.Ring!.Interrupt;
        yield return BenchmarkRow.Of("queue interrupt, to the sink", Operations, Trigger).Against(Peer, 26.8, 15);
    }

    private BenchmarkRow Read(string name, int offset, int width) => Aimed(name, offset, width, ReadRegion);

    private BenchmarkRow Write(string name, int offset, int width) => Aimed(name, offset, width, WriteRegion);

    private BenchmarkRow ReadWhole(string name, int offset, int width) => Aimed(name, offset, width, ReadWholePath);

    private BenchmarkRow Aimed(string name, int offset, int width, System.Action block)
    {
        _offset = offset;
        _width = width;
        return BenchmarkRow.Of(name, Operations, block);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadRegion()
    {
        ulong sum = 0;
        for (uint i = 0; i < Operations; i++)
        {
            sum ^= _common.Read((uint)_offset, _width) + i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteRegion()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _common.Write((uint)_offset, _width, i & 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReadWholePath()
    {
        ulong sum = 0;
        for (uint i = 0; i < Operations; i++)
        {
            sum ^= _machine.Memory.Read(VirtioMachine.Bar + (uint)_offset, _width) + i;
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WriteWholePath()
    {
        for (uint i = 0; i < Operations; i++)
        {
            _machine.Memory.Write(VirtioMachine.Bar + (uint)_offset, _width, i & 1);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Initialise()
    {
        ulong sum = 0;
        for (int i = 0; i < 120; i++)
        {
            foreach ((int width, int offset, long value) in Initialisation)
            {
                if (value < 0)
                {
                    sum ^= _machine.Memory.Read(VirtioMachine.Bar + (uint)offset, width);
                }
                else
                {
                    _machine.Memory.Write(VirtioMachine.Bar + (uint)offset, width, (ulong)value);
                }
            }
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Trigger()
    {
        for (int i = 0; i < Operations; i++)
        {
            _vector!.Signal();
        }

        BlackBox.Sink ^= _machine.Messages;
    }
}
