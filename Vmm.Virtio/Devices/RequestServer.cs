using System;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Serves a queue whose chains are requests: each is handled and completed before the next is taken.</summary>
/// <remarks>
/// A stay in guest memory lasts for one request at most, and for one part of a long one: between two parts the chain is back in the ring, so
/// that a stop, and RAM that is removed, wait for a part and not for the request.
/// </remarks>
internal abstract class RequestServer : QueueServer
{
    /// <summary>Bytes of guest memory that a part of a request may touch.</summary>
    protected const int PartLength = 1 << 20;

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

    /// <summary>
    /// True if the request in hand was begun by an earlier call of <see cref="Handle"/>, which said <see cref="RequestOutcome.Continue"/>.
    /// </summary>
    protected bool IsContinued { get; private set; }

    protected sealed override bool Serve()
    {
        int unsignalled = 0;
        int left = Portion;
        bool looking = false;
        while (true)
        {
            using (Queue.Enter())
            {
                if (!looking)
                {
                    Queue.DisableKicks();
                    looking = true;
                }

                if (left == 0 || Stopping)
                {
                    Queue.SignalIfNeeded();
                    return true;
                }

                if (!Queue.TryPop(_chain))
                {
                    Queue.SignalIfNeeded();
                    if (!Queue.EnableKicksAndCheckForMore())
                    {
                        return false;
                    }

                    unsignalled = 0;
                    looking = false;
                    continue;
                }

                left--;
                RequestOutcome outcome;
                uint written;
                try
                {
                    outcome = Handle(_chain, out written);
                }
                catch
                {
                    // Whatever was written is marked by it (MEM-5).
                    Queue.UndoPop(_chain);
                    throw;
                }

                IsContinued = outcome == RequestOutcome.Continue;
                if (outcome != RequestOutcome.Done)
                {
                    // Whoever goes on with it pops it again.
                    Queue.UndoPop(_chain);
                    Queue.SignalIfNeeded();
                    unsignalled = 0;
                    if (outcome == RequestOutcome.Later)
                    {
                        return false;
                    }
                }
                else if (Queue.IsBroken)
                {
                    Queue.UndoPop(_chain);
                }
                else
                {
                    Queue.Complete(_chain, written);
                    if (++unsignalled == _signalEvery)
                    {
                        unsignalled = 0;
                        Queue.SignalIfNeeded();
                    }
                }
            }

            if (IsContinued && WaitBetweenParts())
            {
                // The other queues of the worker have their turn.
                return true;
            }
        }
    }

    /// <inheritdoc/>
    protected override void OnStart(Worker worker) => IsContinued = false;

    /// <summary>Does what a request asks for, or the next part of it, which touches at most <see cref="PartLength"/> bytes of guest memory.</summary>
    /// <param name="chain">The request. A part finds it anew in the ring: what was checked before is checked again.</param>
    /// <param name="written">Bytes written from the start of its writable part.</param>
    protected abstract RequestOutcome Handle(DescriptorChain chain, out uint written);

    /// <summary>Clears the next part of what a request leaves empty.</summary>
    /// <param name="buffers">All of it.</param>
    /// <param name="position">Bytes cleared so far.</param>
    /// <returns>True when the last part is done.</returns>
    protected static bool ClearPart(GuestBuffers buffers, ref long position)
    {
        long length = Math.Clamp(buffers.Length - position, 0, PartLength);
        if (length > 0)
        {
            buffers.Slice(position, length).Fill(0);
            position += length;
        }

        return position >= buffers.Length;
    }

    /// <summary>Runs between two parts, outside guest memory: the place to wait, for no longer than a stop may take.</summary>
    /// <returns>True if it waited.</returns>
    protected virtual bool WaitBetweenParts() => false;

    /// <summary>A used length of all of a chain's writable part; it has 32 bits, and a chain may have one byte more than they count.</summary>
    /// <param name="chain">The chain.</param>
    protected static uint WholeLength(DescriptorChain chain) => (uint)Math.Min(chain.WritableLength, uint.MaxValue);
}
