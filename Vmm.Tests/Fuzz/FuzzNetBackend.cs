using System;
using System.Collections.Concurrent;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fuzz;

/// <summary>The host's end of a network card: keeps a bounded number of packets each way.</summary>
internal sealed class FuzzNetBackend(FuzzCounts counts) : INetBackend
{
    private const int Room = 64;

    private readonly EventFd _readable = new();
    private readonly ConcurrentQueue<byte[]> _incoming = new();

    public int Descriptor => _readable.Descriptor;

    /// <summary>The packet that the guest sent last, as far as it is kept.</summary>
    public byte[] LastSent { get; private set; } = [];

    public void Arrive(byte[] frame)
    {
        if (_incoming.Count < Room)
        {
            byte[] packet = new byte[12 + frame.Length];
            frame.CopyTo(packet, 12);
            _incoming.Enqueue(packet);
            _readable.Signal();
        }
    }

    public void Clear() => _incoming.Clear();

    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        length = 0;
        if (!_incoming.TryDequeue(out byte[]? packet))
        {
            _readable.TryConsume(out _);
            if (!_incoming.TryDequeue(out packet))
            {
                return NetReceiveResult.Empty;
            }

            _readable.Signal();
        }

        length = destination.CopyFrom(packet);
        Interlocked.Increment(ref counts.Requests);
        return NetReceiveResult.Packet;
    }

    public bool Send(GuestBuffers packet)
    {
        byte[] bytes = new byte[Math.Min(packet.Length, 4096)];
        packet.CopyTo(bytes);
        LastSent = bytes;
        Interlocked.Increment(ref counts.Requests);
        return true;
    }

    public bool SetOffloads(NetOffloads offloads) => true;

    public void Dispose() => _readable.Dispose();
}
