using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Testing.Rigs;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Benchmarks.Net;

/// <summary>A network card on a tap, and a driver in this process that hands it packets in bulk: all its buffers are made before.</summary>
internal sealed class NetCard : IDisposable
{
    private const int Receive = 0;
    private const int Transmit = 1;
    private const ulong Offloads = 0x3f83 | (1 << 15);
    private const int Page = 4096;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private readonly InProcessFunctionAccess _access;
    private readonly VirtioPciDriver _driver;
    private readonly DriverQueue _queue;
    private readonly IDmaBuffer _memory;
    private readonly DriverSegment[][] _requests;
    private readonly Stack<int> _free = new();
    private readonly int[] _slots;
    private readonly int _stride;
    private readonly NetDevice _device;

    /// <summary>Makes a card whose driver sends one packet again and again.</summary>
    public static NetCard Sending(TapInterface tap, ReadOnlySpan<byte> packet, ushort queueSize)
    {
        var card = new NetCard(tap, Transmit, packet.Length, queueSize, deviceWrites: false);
        for (int slot = 0; slot < queueSize; slot++)
        {
            packet.CopyTo(card._memory.Span[(slot * card._stride)..]);
        }

        return card;
    }

    /// <summary>Makes a card whose driver receives into buffers of a size.</summary>
    public static NetCard Receiving(TapInterface tap, int bufferSize, ushort queueSize) =>
        new(tap, Receive, bufferSize, queueSize, deviceWrites: true);

    private NetCard(TapInterface tap, int queue, int length, ushort queueSize, bool deviceWrites)
    {
        const string Name = "net-bench";
        _device = new NetDevice(tap, new NetDeviceOptions { Id = Name, QueueSize = queueSize });
        _access = new InProcessFunctionAccess(dma => new VirtioPciFunction(_device, dma));
        _driver = VirtioPciDriver.Open(_access, new VirtioDriverOptions
        {
            WantedFeatures = Offloads | RingFeatures.IndirectDescriptors | RingFeatures.EventIndex,
        });
        int pieces = (length + Page - 1) / Page;
        _driver.Start([new DriverQueueOptions(queue) { MaximumSize = queueSize, IndirectSegments = pieces }]);
        _queue = _driver.Queues[0];
        _stride = (length + 63) / 64 * 64;
        _memory = _driver.MapBuffer(_stride * queueSize);
        _slots = new int[queueSize];
        _requests = new DriverSegment[queueSize][];
        for (int slot = 0; slot < queueSize; slot++)
        {
            ulong start = _memory.Iova + (ulong)(slot * _stride);
            _requests[slot] = [.. Enumerable.Range(0, pieces).Select(piece =>
                new DriverSegment(start + (ulong)(piece * Page), (uint)Math.Min(Page, length - (piece * Page)), deviceWrites))];
            _free.Push(slot);
        }

        Worker = FindThread(Name);
    }

    /// <summary>The thread of the device's worker.</summary>
    public int Worker { get; }

    /// <summary>Packets that the device did not pass.</summary>
    public long Dropped => _device.TransmitDropped + _device.ReceiveDropped;

    /// <summary>Sends packets, a queue full at a time; returns when all are sent.</summary>
    /// <returns>Seconds that it took.</returns>
    public double Send(int count)
    {
        long start = Stopwatch.GetTimestamp();
        for (int left = count; left > 0;)
        {
            int together = 0;
            while (together < left && TrySubmit())
            {
                together++;
            }

            _queue.Notify();
            left -= together;
            for (; together > 0; together--)
            {
                Await();
            }
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Posts as many buffers at once as packets that wait will fill, and waits until they have come.</summary>
    /// <returns>Seconds that it took.</returns>
    public double Take(int packets, int buffersEach)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < packets * buffersEach; i++)
        {
            if (!TrySubmit())
            {
                throw new InvalidOperationException("the queue is too short");
            }
        }

        _queue.Notify();
        for (int i = 0; i < packets * buffersEach; i++)
        {
            Await();
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _driver.Dispose();
        _access.Dispose();
    }

    private bool TrySubmit()
    {
        if (!_free.TryPeek(out int slot) || _queue.TrySubmit(_requests[slot]) is not { } token)
        {
            return false;
        }

        _slots[token] = _free.Pop();
        return true;
    }

    private void Await()
    {
        if (!_queue.TryWaitComplete(Limit, out int token, out _))
        {
            throw new InvalidOperationException("the device completes nothing");
        }

        _free.Push(_slots[token]);
    }

    private static int FindThread(string name)
    {
        foreach (string folder in Directory.GetDirectories("/proc/self/task"))
        {
            if (File.ReadAllText(Path.Combine(folder, "comm")).Trim() == name)
            {
                return int.Parse(Path.GetFileName(folder), CultureInfo.InvariantCulture);
            }
        }

        throw new InvalidOperationException($"no thread is named {name}");
    }
}
