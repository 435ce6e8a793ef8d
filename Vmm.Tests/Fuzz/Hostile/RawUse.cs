using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>The queues themselves, with the books kept: what comes back was outstanding, and no longer than it was.</summary>
internal sealed class RawUse(VirtioPciDriver driver) : DriverUse(driver)
{
    private readonly Dictionary<DriverQueue, Dictionary<int, (ulong Writable, int Descriptors)>> _outstanding = [];
    private bool _started;
    private IDmaBuffer? _memory;

    public override void Do(HostileAction action, Random random, HostileCounts counts)
    {
        DriverQueue? queue = Pci.Queues.Count == 0 ? null : Pci.Queues[random.Next(Pci.Queues.Count)];
        switch (action)
        {
            case HostileAction.Start when !_started:
                Pci.Start([.. Enumerable.Range(0, random.Next(4)).Select(i => Options(i, random))]);
                counts.Started++;
                _started = true;
                break;
            case HostileAction.EnableQueue when _started && (Pci.Features & TransportFeatures.RingReset) != 0:
                int index = random.Next(4);
                if (Pci.Queues.All(other => other.Index != index))
                {
                    _ = Pci.EnableQueue(Options(index, random));
                }

                break;
            case HostileAction.ResetQueue when queue is not null && (Pci.Features & TransportFeatures.RingReset) != 0:
                _outstanding.Remove(queue);
                Pci.ResetQueue(queue);
                break;
            case HostileAction.Submit when queue is not null:
                Submit(queue, random, counts);
                break;
            case HostileAction.Notify when queue is not null:
                if (random.Next(2) == 0)
                {
                    _ = queue.Notify();
                }
                else
                {
                    queue.Kick();
                }

                break;
            case HostileAction.Complete when queue is not null:
                while (queue.TryComplete(out int token, out uint length))
                {
                    Take(queue, token, length, counts);
                }

                break;
            case HostileAction.Wait when queue is not null:
                if (queue.TryWaitComplete(HostileSession.Patience, out int waited, out uint written))
                {
                    Take(queue, waited, written, counts);
                }

                break;
            case HostileAction.Arm when queue is not null:
                _ = queue.ArmInterrupt();
                _ = queue.HasCompletion();
                if (random.Next(2) == 0)
                {
                    queue.DisarmInterrupt();
                }

                break;
            default:
                base.Do(action, random, counts);
                break;
        }
    }

    private static DriverQueueOptions Options(int index, Random random)
    {
        return new DriverQueueOptions(index)
        {
            MaximumSize = random.Next(3) == 0 ? random.Next(1, 600) : 1 << random.Next(10),
            IndirectSegments = random.Next(20),
        };
    }

    private void Submit(DriverQueue queue, Random random, HostileCounts counts)
    {
        _memory ??= Pci.MapBuffer(0x2000);
        if (!_outstanding.TryGetValue(queue, out Dictionary<int, (ulong Writable, int Descriptors)>? books))
        {
            _outstanding[queue] = books = [];
        }

        var segments = new DriverSegment[random.Next(1, Math.Min(queue.Size, 20) + 1)];
        int readable = random.Next(segments.Length + 1);
        ulong writable = 0;
        for (int i = 0; i < segments.Length; i++)
        {
            segments[i] = new DriverSegment(_memory.Iova + (ulong)random.Next(0x1000), (uint)random.Next(1, 0x1000), i >= readable);
            writable += i >= readable ? segments[i].Length : 0;
        }

        int before = queue.FreeDescriptors;
        if (queue.TrySubmit(segments) is { } token)
        {
            counts.Submitted++;
            token.Should().BeInRange(0, queue.Size - 1);
            books.TryAdd(token, (writable, before - queue.FreeDescriptors)).Should().BeTrue($"request {token} was outstanding already");
        }

        Check(queue, books);
    }

    private void Take(DriverQueue queue, int token, uint length, HostileCounts counts)
    {
        Dictionary<int, (ulong Writable, int Descriptors)> books = _outstanding[queue];
        books.Remove(token, out (ulong Writable, int Descriptors) request).Should().BeTrue($"request {token} was not outstanding");
        ((ulong)length).Should().BeLessThanOrEqualTo(request.Writable);
        Check(queue, books);
        counts.Completed++;
    }

    private static void Check(DriverQueue queue, Dictionary<int, (ulong Writable, int Descriptors)> books)
    {
        queue.FreeDescriptors.Should().Be(queue.Size - books.Values.Sum(static r => r.Descriptors));
        (queue is { Size: > 0 and <= Virtqueue.MaximumSize }).Should().BeTrue();
    }
}
