using System;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Devices;

/// <summary>A sink that writes to a file descriptor.</summary>
public sealed class DescriptorSink : BufferedSink
{
    private const int PollMilliseconds = 50;

    private readonly int _descriptor;
    private readonly FileDescriptor? _own;
    private bool _broken;

    /// <summary>Makes a sink.</summary>
    /// <param name="worker">Writes; not running yet or running. It is stopped before the sink is disposed.</param>
    /// <param name="descriptor">Stays open until the sink is disposed.</param>
    public DescriptorSink(Worker worker, int descriptor)
        : base(worker)
    {
        _own = DescriptorIo.ReopenForOutput(descriptor);
        _descriptor = _own?.Number ?? descriptor;
    }

    /// <inheritdoc/>
    protected override int WriteChunk(ReadOnlySpan<byte> bytes)
    {
        while (!_broken && !IsAbandoned)
        {
            if (!DescriptorIo.WaitWritable(_descriptor, PollMilliseconds))
            {
                continue;
            }

            int error = DescriptorIo.WriteSome(_descriptor, bytes, out int written);
            if (written > 0)
            {
                return written;
            }

            _broken = error != Errno.EAGAIN;
        }

        return bytes.Length;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        _own?.Dispose();
    }
}
