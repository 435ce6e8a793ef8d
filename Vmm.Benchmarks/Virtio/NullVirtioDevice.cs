using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
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

    public override bool TryStartQueue(QueueResources queue, [NotNullWhen(false)] out string? reason)
    {
        if (!Virtqueue.TryCreate(queue, out Virtqueue? ring, out reason))
        {
            return false;
        }

        if (queue.Configuration.Index == 0)
        {
            Ring = ring;
        }

        return true;
    }

    public override VirtqueueState? StopQueue(int index) => null;

    public override void Reset()
    {
    }
}
