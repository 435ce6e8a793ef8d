using System;
using System.Collections.Concurrent;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fuzz;

/// <summary>The host's end of a console, bounded.</summary>
internal sealed class FuzzConsoleBackend(FuzzCounts counts) : IConsoleBackend
{
    private const int Room = 4096;

    private readonly EventFd _readable = new();
    private readonly ConcurrentQueue<byte> _incoming = new();

    public int InputDescriptor => _readable.Descriptor;

    /// <summary>What the guest wrote last, as far as it is kept.</summary>
    public byte[] LastWritten { get; private set; } = [];

    public void Arrive(ReadOnlySpan<byte> input)
    {
        foreach (byte each in input)
        {
            if (_incoming.Count < Room)
            {
                _incoming.Enqueue(each);
            }
        }

        _readable.Signal();
    }

    public void Clear() => _incoming.Clear();

    public void Write(ReadOnlySpan<byte> output)
    {
        LastWritten = output[..Math.Min(output.Length, Room)].ToArray();
        Interlocked.Increment(ref counts.Requests);
    }

    public bool Read(Span<byte> input, out int received)
    {
        received = 0;
        while (received < input.Length && _incoming.TryDequeue(out byte next))
        {
            input[received++] = next;
        }

        if (received == 0)
        {
            _readable.TryConsume(out _);
            if (!_incoming.IsEmpty)
            {
                _readable.Signal();
            }
        }
        else
        {
            Interlocked.Increment(ref counts.Requests);
        }

        return true;
    }

    public void Dispose() => _readable.Dispose();
}
