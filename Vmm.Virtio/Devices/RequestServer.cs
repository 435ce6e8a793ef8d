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
                if (!HandleUnlessItMustWait(_chain, out uint written))
                {
                    // Whatever it waits for runs this again.
                    Queue.UndoPop(_chain);
                    Queue.SignalIfNeeded();
                    return false;
                }

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
            if (!Queue.EnableKicksAndCheckForMore())
            {
                return false;
            }

            Queue.DisableKicks();
        }
    }

    /// <summary>Does what a request asks for.</summary>
    /// <param name="chain">The request.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    /// <returns>False if it cannot be done yet: the request stays in the ring, and the device calls <see cref="QueueServer.Run"/> later.</returns>
    protected abstract bool HandleUnlessItMustWait(DescriptorChain chain, out uint written);
}
