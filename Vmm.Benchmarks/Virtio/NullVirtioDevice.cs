using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Virtio;

/// <summary>A device with four queues of 256 and 64 bytes of configuration that does nothing.</summary>
internal sealed class NullVirtioDevice : VirtioDevice
{
    /// <summary>What the driver of the measurements acknowledges.</summary>
    public const ulong DriverFeatures = 0x1_3000_0644;

    private readonly byte[] _configuration = new byte[64];

    /// <summary>The first queue, once it runs.</summary>
    public Virtqueue? Ring { get; private set; }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Block;

    public override ulong OfferedFeatures => DriverFeatures & uint.MaxValue;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [256, 256, 256, 256];

    public override int ConfigurationLength => _configuration.Length;

    public override ulong ReadConfiguration(int offset, int width)
    {
        ulong value = 0;
        for (int i = 0; i < width; i++)
        {
            value |= (ulong)_configuration[offset + i] << (8 * i);
        }

        return value;
    }

    public override void Start(ulong features, IVirtioDeviceHost host)
    {
    }

    public override void StartQueue(int index, Virtqueue queue, EventFd kick)
    {
        if (index == 0)
        {
            Ring = queue;
        }
    }

    public override void StopQueue(int index)
    {
    }

    public override void Reset()
    {
    }
}
