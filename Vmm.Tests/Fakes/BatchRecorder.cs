using System;
using System.Collections.Concurrent;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>A back-end in front of another, which sees how many packets the device hands over at once.</summary>
public sealed class BatchRecorder(INetBackend inner) : INetBackend
{
    public int Descriptor => inner.Descriptor;

    /// <summary>Rooms of each call that asked for packets.</summary>
    public ConcurrentQueue<int> Rooms { get; } = new();

    /// <summary>Packets and bytes of each call that sent some.</summary>
    public ConcurrentQueue<(int Packets, long Bytes)> Sent { get; } = new();

    public NetReceiveResult Receive(GuestBuffers destination, out int length) => inner.Receive(destination, out length);

    public bool Send(GuestBuffers packet) => inner.Send(packet);

    public NetReceiveResult ReceiveBatch(PacketBatch rooms, Span<int> lengths, out int count)
    {
        Rooms.Enqueue(rooms.Count);
        return inner.ReceiveBatch(rooms, lengths, out count);
    }

    public int SendBatch(PacketBatch packets)
    {
        Sent.Enqueue((packets.Count, packets.Length));
        return inner.SendBatch(packets);
    }

    public bool SetOffloads(NetOffloads offloads) => inner.SetOffloads(offloads);

    public void Dispose() => inner.Dispose();
}
