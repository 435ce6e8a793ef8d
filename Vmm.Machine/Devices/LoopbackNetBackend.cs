using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Machine.Devices;

/// <summary>A network whose only other station sends every packet back.</summary>
/// <remarks>Used by the device's worker alone.</remarks>
internal sealed class LoopbackNetBackend : INetBackend
{
    private const int MaximumWaiting = 256;

    private readonly EventFd _readable = new();
    private readonly Queue<byte[]> _waiting = new();

    public int Descriptor => _readable.Descriptor;

    public NetReceiveResult Receive(GuestBuffers destination, out int length)
    {
        length = 0;
        if (!_waiting.TryDequeue(out byte[]? packet))
        {
            return NetReceiveResult.Empty;
        }

        if (_waiting.Count == 0)
        {
            _readable.TryConsume(out _);
        }

        length = destination.CopyFrom(packet);
        return NetReceiveResult.Packet;
    }

    public bool Send(GuestBuffers packet)
    {
        if (_waiting.Count == MaximumWaiting)
        {
            return false;
        }

        byte[] copy = new byte[packet.Length];
        packet.CopyTo(copy);
        _waiting.Enqueue(copy);
        _readable.Signal();
        return true;
    }

    public bool SetOffloads(NetOffloads offloads) => true;

    public void Dispose() => _readable.Dispose();
}
