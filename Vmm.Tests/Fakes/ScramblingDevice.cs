using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>
/// A device made of public members alone: a request is a number of 8 bytes, its answer the complement. Some are done at once, some while they are
/// submitted, and the others on several threads in any order.
/// </summary>
public sealed class ScramblingDevice : WorkerDevice
{
    private readonly List<Action> _pending = [];
    private readonly Thread[] _threads;
    private bool _ending;

    public ScramblingDevice(int threads, int seed)
        : base(new ScramblingDeviceOptions(), queueCount: 1)
    {
        _threads = [.. Enumerable.Range(0, threads).Select(i => new Thread(() => EndRequests(new Random(seed + i))) { IsBackground = true })];
        Array.ForEach(_threads, thread => thread.Start());
    }

    public override VirtioDeviceType DeviceType => VirtioDeviceType.Entropy;

    public override ulong OfferedFeatures => OfferedRingFeatures;

    protected override QueueHandler CreateHandler(int index, Virtqueue queue) => new Handler(this, queue);

    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        lock (_pending)
        {
            _ending = true;
            Monitor.PulseAll(_pending);
        }

        Array.ForEach(_threads, thread => thread.Join());
    }

    private void EndRequests(Random random)
    {
        while (true)
        {
            Action end;
            lock (_pending)
            {
                while (_pending.Count == 0)
                {
                    if (_ending)
                    {
                        return;
                    }

                    Monitor.Wait(_pending);
                }

                int which = random.Next(_pending.Count);
                end = _pending[which];
                _pending[which] = _pending[^1];
                _pending.RemoveAt(_pending.Count - 1);
            }

            end();
        }
    }

    private sealed record ScramblingDeviceOptions : VirtioDeviceOptions;

    private sealed class Handler(ScramblingDevice device, Virtqueue queue) : RequestHandler(queue)
    {
        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            if (Read(chain) % 5 != 0)
            {
                return RequestOutcome.Pending;
            }

            written = Answer(chain);
            return RequestOutcome.Done;
        }

        protected override void Submit(DescriptorChain chain)
        {
            if (Read(chain) % 5 == 1)
            {
                Complete(chain, Answer(chain));
                return;
            }

            lock (device._pending)
            {
                device._pending.Add(() => Complete(chain, Answer(chain)));
                Monitor.Pulse(device._pending);
            }
        }

        private static ulong Read(DescriptorChain chain)
        {
            Span<byte> bytes = stackalloc byte[8];
            chain.Readable.CopyTo(bytes);
            return BitConverter.ToUInt64(bytes);
        }

        private static uint Answer(DescriptorChain chain)
        {
            Span<byte> bytes = stackalloc byte[8];
            BitConverter.TryWriteBytes(bytes, ~Read(chain));
            return (uint)chain.Writable.CopyFrom(bytes);
        }
    }
}
