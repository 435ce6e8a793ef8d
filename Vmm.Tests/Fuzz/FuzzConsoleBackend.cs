using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fuzz;

/// <summary>The host's end of a console, bounded.</summary>
internal sealed class FuzzConsoleBackend(FuzzCounts counts) : IConsoleBackend
{
    private const int Room = 4096;

    private readonly EventFd _readable = new();
    private readonly Lock _lock = new();
    private readonly Queue<byte> _incoming = new();

    public int InputDescriptor => _readable.Descriptor;

    /// <summary>What the guest wrote last, as far as it is kept.</summary>
    public byte[] LastWritten { get; private set; } = [];

    /// <summary>What is typed arrives as a whole: a worker that looks meanwhile sees none of it, or all.</summary>
    public void Arrive(ReadOnlySpan<byte> input)
    {
        lock (_lock)
        {
            foreach (byte each in input[..Math.Min(input.Length, Room - _incoming.Count)])
            {
                _incoming.Enqueue(each);
            }

            _readable.Signal();
        }
    }

    public void Clear()
    {
        lock (_lock)
        {
            _incoming.Clear();
        }
    }

    public int OutputDescriptor => -1;

    public int Write(ReadOnlySpan<byte> output)
    {
        LastWritten = output[..Math.Min(output.Length, Room)].ToArray();
        Interlocked.Increment(ref counts.Requests);
        return output.Length;
    }

    public bool Read(Span<byte> input, out int received)
    {
        lock (_lock)
        {
            received = Math.Min(input.Length, _incoming.Count);
            for (int i = 0; i < received; i++)
            {
                input[i] = _incoming.Dequeue();
            }

            if (received == 0)
            {
                _readable.TryConsume(out _);
                return true;
            }
        }

        Interlocked.Increment(ref counts.Requests);
        return true;
    }

    public void Dispose() => _readable.Dispose();
}
