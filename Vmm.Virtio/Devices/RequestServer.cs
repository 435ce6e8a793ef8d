using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves a queue whose chains are requests: each is handled and completed before the next is taken.</summary>
internal abstract class RequestServer : QueueServer
{
    private const int Portion = 128;

    private readonly DescriptorChain _chain = new();
    private readonly int _signalEvery;

    /// <param name="queue">The ring.</param>
    /// <param name="kick">The driver's notifications.</param>
    /// <param name="host">Where a broken ring is reported.</param>
    /// <param name="signalEvery">Completions after which the driver hears of them even if there is more to do.</param>
    protected RequestServer(Virtqueue queue, EventFd kick, IVirtioDeviceHost host, int signalEvery)
        : base(queue, kick, host)
    {
        _signalEvery = signalEvery;
    }

    protected sealed override bool Serve()
    {
        int unsignalled = 0;
        int left = Portion;
        Queue.DisableKicks();
        while (true)
        {
            while (left > 0 && !Stopping && Queue.TryPop(_chain))
            {
                uint written = Handle(_chain);
                if (Queue.IsBroken)
                {
                    break;
                }

                Queue.Complete(_chain, written);
                left--;
                if (++unsignalled == _signalEvery)
                {
                    unsignalled = 0;
                    Queue.SignalIfNeeded();
                }
            }

            Queue.SignalIfNeeded();
            if (left == 0 || Stopping)
            {
                return true;
            }

            unsignalled = 0;
            if (!Queue.EnableKicks())
            {
                return false;
            }

            Queue.DisableKicks();
        }
    }

    /// <summary>Does what a request asks for.</summary>
    /// <param name="chain">The request.</param>
    /// <returns>Bytes written from the start of its writable part.</returns>
    protected abstract uint Handle(DescriptorChain chain);
}
