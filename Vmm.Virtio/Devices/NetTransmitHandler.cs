using System;
using Vmm.DeviceModel.Epochs;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the queue of packets to be sent: each chain is one packet behind its header (virtio 1.2, 5.1.6.2).</summary>
/// <remarks>
/// Packets that the driver has made available go to the back-end together, up to a limit of packets and of bytes, and are completed together, with
/// one question whether the driver wants to hear of it. Headers are copied before they are looked at, and the copies are sent: the driver may change
/// its own meanwhile (MEM-3).
/// </remarks>
internal sealed class NetTransmitHandler : QueueHandler
{
    // A stay in guest memory lasts for one batch, which so touches little more than a part of any other request does.
    private const int EnoughBytes = 1 << 20;
    private const int BatchesATurn = 4;

    private static readonly uint[] NothingWritten = new uint[NetDevice.MaximumBatch];

    private readonly NetDevice _device;
    private readonly INetBackend _backend;
    private readonly DescriptorChain[] _chains;
    private readonly byte[] _headers;
    private readonly PacketBatch _packets;
    private readonly RateLimiter? _limiter;
    private int _popped;

    public NetTransmitHandler(NetDevice device, INetBackend backend, Virtqueue queue)
        : base(queue)
    {
        _device = device;
        _backend = backend;
        _limiter = device.TransmitLimiter;
        _chains = new DescriptorChain[Math.Min(queue.Size, (ushort)NetDevice.MaximumBatch)];
        for (int i = 0; i < _chains.Length; i++)
        {
            // With its header's copy, a packet has no more pieces than one system call takes.
            _chains[i] = new DescriptorChain(8, PacketBatch.MaximumPieces - 1);
        }

        _headers = GC.AllocateArray<byte>(_chains.Length * NetHeader.Size, pinned: true);
        _packets = new PacketBatch(_chains.Length, 2 * PacketBatch.MaximumPieces);
    }

    protected override bool Serve()
    {
        for (int batch = 0; batch < BatchesATurn; batch++)
        {
            using AccessDomain.ReadScope scope = Queue.Enter();
            if (IsHeld)
            {
                // Who holds it wakes it again.
                return false;
            }

            Queue.DisableKicks();
            bool isLimited = !Pop();
            if (_popped == 0)
            {
                // The limiter wakes it, and needs no kick.
                if (isLimited || !Queue.EnableKicksAndCheckForMore())
                {
                    return false;
                }
            }
            else if (!TrySend())
            {
                return false;
            }
            else
            {
                Queue.SignalIfNeeded();
                if (isLimited)
                {
                    return false;
                }
            }
        }

        return true;
    }

    /// <summary>Takes what is there, as much as goes together.</summary>
    /// <returns>False if the next packet has to wait for its turn.</returns>
    private bool Pop()
    {
        _popped = 0;
        _packets.Clear();
        while (_popped < _chains.Length && _packets.Length < EnoughBytes && Queue.TryPop(_chains[_popped]))
        {
            GuestBuffers packet = _chains[_popped].Readable;
            if (!TryCopyHeader(packet, _popped))
            {
                _device.CountTransmitDrops(1);
            }
            else if (_packets.TryAppendPinned(_headers, _popped * NetHeader.Size, NetHeader.Size)
                && _packets.TryAppend(packet.Slice(NetHeader.Size)))
            {
                if (_limiter is not null && !_limiter.TryTake(packet.Length - NetHeader.Size))
                {
                    _packets.Abandon();
                    Queue.UndoPop(_chains[_popped]);
                    return false;
                }

                _packets.Finish();
            }
            else
            {
                // It has many pieces, and begins the next batch.
                _packets.Abandon();
                Queue.UndoPop(_chains[_popped]);
                return true;
            }

            _popped++;
        }

        return true;
    }

    /// <summary>Copies the header of a packet, if that asks for nothing but what was negotiated.</summary>
    private bool TryCopyHeader(GuestBuffers packet, int place)
    {
        if (packet.Length is <= NetHeader.Size or > NetDevice.LargestPacket)
        {
            return false;
        }

        Span<byte> header = _headers.AsSpan(place * NetHeader.Size, NetHeader.Size);
        packet.CopyTo(header);
        return NetHeader.TryConform(header, _device.TransmitOffloads, NetHeader.NeedsChecksum);
    }

    /// <summary>Sends what was popped and completes it.</summary>
    /// <returns>False if the queue was taken away meanwhile.</returns>
    private bool TrySend()
    {
        EnterDevice();
        bool sent = false;
        try
        {
            if (_packets.Count > 0)
            {
                int dropped = _backend.SendBatch(_packets);
                _device.CountTransmitDrops(dropped);
                _device.CountSent(Queue.Index / 2, _packets, dropped);
            }

            sent = TryReturnToQueue();
        }
        finally
        {
            if (!sent)
            {
                GiveBack();
            }
        }

        Queue.CompleteTogether(_chains.AsSpan(0, _popped), NothingWritten.AsSpan(0, _popped));
        return true;
    }

    private void GiveBack()
    {
        while (_popped > 0)
        {
            Queue.UndoPop(_chains[--_popped]);
        }
    }
}
