using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the queue of packets to be sent: each chain is one packet behind its header (virtio 1.2, 5.1.6.2).</summary>
/// <remarks>The header is copied before it is looked at, and the copy is sent: the driver may change its own meanwhile (MEM-3).</remarks>
internal sealed class NetTransmitHandler : RequestHandler
{
    // What one writev takes.
    private const int MaximumPieces = 1024;

    private readonly NetDevice _device;
    private readonly INetBackend _backend;
    private readonly byte[] _header = GC.AllocateArray<byte>(NetHeader.Size, pinned: true);
    private readonly SegmentList _packet = new(MaximumPieces);

    public NetTransmitHandler(NetDevice device, INetBackend backend, Virtqueue queue)
        : base(queue, signalEvery: 64)
    {
        _device = device;
        _backend = backend;
    }

    protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
    {
        written = 0;
        if (!TryTake(chain.Readable) || !_backend.Send(_packet.Buffers))
        {
            _device.CountTransmitDrop();
        }

        return RequestOutcome.Done;
    }

    /// <summary>Takes a packet that asks for nothing but what was negotiated.</summary>
    private bool TryTake(GuestBuffers packet)
    {
        if (packet.Length is <= NetHeader.Size or > NetDevice.LargestPacket)
        {
            return false;
        }

        packet.CopyTo(_header);
        _packet.Clear();
        return NetHeader.TryConform(_header, _device.TransmitOffloads, NetHeader.NeedsChecksum)
            && _packet.TryAddPinned(_header, _header.Length)
            && _packet.TryAdd(packet.Slice(_header.Length));
    }
}
