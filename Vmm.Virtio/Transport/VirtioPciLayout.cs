using System;
using System.Numerics;
using Vmm.Pci.Capabilities;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>Where the structures of a function lie in its BAR: each on pages of its own.</summary>
internal sealed class VirtioPciLayout
{
    /// <summary>The BAR of all structures; where it is a 64-bit one it takes the next register too.</summary>
    public const int Bar = 0;

    private const uint PageSize = 0x1000;

    public VirtioPciLayout(VirtioDevice device, int vectors)
    {
        if (device.QueueSizes.Count > ushort.MaxValue)
        {
            throw new ArgumentException($"a device has at most {ushort.MaxValue} queues, not {device.QueueSizes.Count}", nameof(device));
        }

        uint next = 0;
        CommonOffset = Take(ref next, CommonConfigurationOffset.Length);
        IsrOffset = Take(ref next, 1);
        DeviceOffset = Take(ref next, (uint)device.ConfigurationLength);
        DeviceLength = (uint)device.ConfigurationLength;
        NotifyLength = (uint)Math.Max(1, device.QueueSizes.Count) * NotifyRegion.Multiplier;
        NotifyOffset = Take(ref next, NotifyLength);
        TableOffset = Take(ref next, (uint)(vectors * MsixCapability.EntryLength));
        PendingOffset = Take(ref next, (uint)MsixCapability.PendingLength(vectors));
        Size = BitOperations.RoundUpToPowerOf2(next);
    }

    public uint CommonOffset { get; }

    public uint IsrOffset { get; }

    public uint DeviceOffset { get; }

    public uint DeviceLength { get; }

    public uint NotifyOffset { get; }

    public uint NotifyLength { get; }

    public uint TableOffset { get; }

    public uint PendingOffset { get; }

    public uint Size { get; }

    private static uint Take(ref uint next, uint length)
    {
        uint offset = next;
        next += (length + PageSize - 1) & ~(PageSize - 1);
        return offset;
    }
}
