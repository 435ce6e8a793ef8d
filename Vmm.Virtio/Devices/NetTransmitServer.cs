using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves the queue of packets to be sent: each chain is one packet behind its header (virtio 1.2, 5.1.6.2).</summary>
internal sealed class NetTransmitServer : RequestServer
{
    private readonly NetDevice _device;
    private readonly INetBackend _backend;

    public NetTransmitServer(NetDevice device, INetBackend backend, Virtqueue queue, EventFd kick, IVirtioDeviceHost host)
        : base(queue, kick, host, signalEvery: 64)
    {
        _device = device;
        _backend = backend;
    }

    protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
    {
        written = 0;
        if (chain.ReadableLength is <= NetDevice.HeaderSize or > NetDevice.LargestPacket || !_backend.Send(chain.Readable))
        {
            _device.CountTransmitDrop();
        }

        return RequestOutcome.Done;
    }
}
