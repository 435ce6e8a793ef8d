using System;
using System.IO;
using Vmm.DeviceModel.Events;

namespace Vmm.Machine.Devices;

/// <summary>A sink that writes to a stream of the embedder's, and flushes it after each part.</summary>
/// <remarks>The worker waits for the stream as long as a write takes; no vCPU does, and the end of the machine half a second at most.</remarks>
public sealed class StreamSink : BufferedSink
{
    private readonly Stream _stream;
    private bool _broken;

    /// <summary>Makes a sink.</summary>
    /// <param name="worker">Writes; not running yet or running. It is stopped before the sink is disposed.</param>
    /// <param name="stream">Stays open until the sink is disposed. After its first exception it is not written to any more.</param>
    public StreamSink(Worker worker, Stream stream)
        : base(worker)
    {
        ArgumentNullException.ThrowIfNull(stream);
        _stream = stream;
    }

    /// <inheritdoc/>
    protected override int WriteChunk(ReadOnlySpan<byte> bytes)
    {
        if (!_broken && !IsAbandoned)
        {
            try
            {
                _stream.Write(bytes);
                _stream.Flush();
            }
            catch (Exception)
            {
                // Whatever the embedder's code throws: the guest goes on, its output vanishes.
                _broken = true;
            }
        }

        return bytes.Length;
    }
}
