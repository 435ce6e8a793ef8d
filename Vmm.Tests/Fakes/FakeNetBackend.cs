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

    /// <summary>What the device said about receiving, in order.</summary>
    public ConcurrentQueue<bool> Receiving { get; } = new();

    public bool TakesReceiving { get; set; } = true;

    /// <summary>Runs before a packet is sent.</summary>
    public Action? Sending { get; set; }

    /// <summary>The back-end ends for good.</summary>
    public bool IsGone { get; private set; }

    /// <summary>A packet arrives; its header is put before it: flags and gso_type as given, and fields that say nothing then.</summary>
    public void Arrive(byte[] frame, byte flags = 0, byte gsoType = 0)
    {
        byte[] packet = new byte[12 + frame.Length];
        packet[0] = flags;
        packet[1] = gsoType;
        packet.AsSpan(2, 8).Fill(0x11);
        packet.AsSpan(10, 2).Fill(0xff);
        frame.CopyTo(packet, 12);
        _incoming.Enqueue(packet);
        _readable.Signal();
    }

    /// <summary>The host's end goes away.</summary>
    public void Leave()
    {
        IsGone = true;
        _readable.Signal();
    }

    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        Looks++;
        length = 0;
        if (IsGone)
        {
            return NetReceiveResult.Gone;
        }

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
        Sending?.Invoke();
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

    public bool SetReceiving(bool receiving)
    {
        if (TakesReceiving)
        {
            Receiving.Enqueue(receiving);
        }

        return TakesReceiving;
    }

    public void Dispose() => _readable.Dispose();
}
