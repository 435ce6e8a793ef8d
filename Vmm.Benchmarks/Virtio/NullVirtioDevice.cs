using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using Vmm.DeviceModel.Registers;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Virtio;

/// <summary>A device with four queues of 256 and 64 bytes of configuration that does nothing.</summary>
internal sealed class NullVirtioDevice : VirtioDevice
{
    /// <summary>What the driver of the measurements acknowledges.</summary>
    public const ulong DriverFeatures = 0x1_3000_0644;

    private static readonly RegisterMap<NullVirtioDevice> Map = new("null", length: 64, RegisterPolicy.Lanes)
    {
        { 0, 4, RegisterAccess.ReadOnly, "first", static _ => 0 },
    };

    public NullVirtioDevice()
    {
        Registers = Map.Bind(this);
    }

    /// <summary>The first queue, once it runs.</summary>
    public Virtqueue? Ring { get; private set; }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Block;

    public override ulong OfferedFeatures => DriverFeatures & uint.MaxValue;

    public override IReadOnlyList<ushort> QueueSizes { get; } = [256, 256, 256, 256];

    public override IRegisterBlock Registers { get; }

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
