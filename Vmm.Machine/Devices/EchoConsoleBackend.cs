using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Devices;

/// <summary>A console whose other end types what it is shown.</summary>
/// <remarks>Used by the device's worker alone.</remarks>
internal sealed class EchoConsoleBackend : IConsoleBackend
{
    private const int MaximumWaiting = 64 * 1024;

    private readonly EventFd _readable = new();
    private readonly Queue<byte> _waiting = new();

    public int InputDescriptor => _readable.Descriptor;

    public int OutputDescriptor => -1;

    public int Write(ReadOnlySpan<byte> output)
    {
        foreach (byte b in output)
        {
            if (_waiting.Count < MaximumWaiting)
            {
                _waiting.Enqueue(b);
            }
        }

        if (_waiting.Count != 0)
        {
            _readable.Signal();
        }

        return output.Length;
    }

    public bool Read(Span<byte> input, out int received)
    {
        for (received = 0; received < input.Length && _waiting.TryDequeue(out byte b); received++)
        {
            input[received] = b;
        }

        if (_waiting.Count == 0)
        {
            _readable.TryConsume(out _);
        }

        return true;
    }

    public void Dispose() => _readable.Dispose();
}
