using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>A network back-end whose packets a test makes and looks at.</summary>
public sealed class FakeNetBackend : INetBackend
{
    private readonly EventFd _readable = new();
    private readonly ConcurrentQueue<byte[]> _incoming = new();

    public int Descriptor => _readable.Descriptor;

    public ConcurrentQueue<byte[]> Sent { get; } = new();

    public List<NetOffloads> Offloads { get; } = [];

    public int Looks { get; private set; }

    public int Waiting => _incoming.Count;

    public bool TakesPackets { get; set; } = true;

    /// <summary>A packet arrives; its header is put before it.</summary>
    public void Arrive(byte[] frame)
    {
        byte[] packet = new byte[12 + frame.Length];
        packet.AsSpan(0, 10).Fill(0x11);
        packet.AsSpan(10, 2).Fill(0xff);
        frame.CopyTo(packet, 12);
        _incoming.Enqueue(packet);
        _readable.Signal();
    }

    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        Looks++;
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
        return NetReceiveResult.Packet;
    }

    public bool Send(GuestBuffers packet)
    {
        byte[] bytes = new byte[packet.Length];
        packet.CopyTo(bytes);
        Sent.Enqueue(bytes);
        return TakesPackets;
    }

    public bool SetOffloads(NetOffloads offloads)
    {
        Offloads.Add(offloads);
        return true;
    }

    public void Dispose() => _readable.Dispose();
}
