using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Devices;

/// <summary>A sink that writes to a file descriptor on a worker's thread.</summary>
/// <remarks>
/// The lock covers the ring; nothing is called under it. What cannot be written (the reader of a pipe is gone) is dropped, so that the guest goes on.
/// </remarks>
public sealed class DescriptorSink : ICharacterSink, IDisposable
{
    private const int Capacity = 1 << 16;
    private const int Chunk = 4096;                             // a pipe that polls as writable takes that much at once, if it is ours alone
    private const int PollMilliseconds = 50;

    private readonly Lock _lock = new();
    private readonly int _descriptor;
    private readonly FileDescriptor? _own;
    private readonly EventFd _wake = new();
    private readonly IDisposable _watch;
    private readonly ManualResetEventSlim _empty = new(true);
    private readonly byte[] _ring = new byte[Capacity];
    private readonly byte[] _chunk = new byte[Chunk];
    private int _head;
    private int _count;
    private bool _broken;
    private volatile bool _stopping;

    /// <summary>Makes a sink.</summary>
    /// <param name="worker">Writes; not running yet or running. It is stopped before the sink is disposed.</param>
    /// <param name="descriptor">Stays open until the sink is disposed.</param>
    public DescriptorSink(Worker worker, int descriptor)
    {
        ArgumentNullException.ThrowIfNull(worker);
        _own = DescriptorIo.ReopenForOutput(descriptor);
        _descriptor = _own?.Number ?? descriptor;
        _watch = worker.Watch(_wake, WriteOut);
    }

    /// <inheritdoc/>
    public event Action? Drained;

    /// <inheritdoc/>
    public bool HasRoom => Capacity - Volatile.Read(ref _count) >= SerialPort.FifoDepth;

    /// <summary>Characters that have not gone out yet.</summary>
    public int Pending => Volatile.Read(ref _count);

    /// <inheritdoc/>
    public void Write(byte value)
    {
        lock (_lock)
        {
            if (_count == Capacity)
            {
                return;
            }

            _ring[(_head + _count) % Capacity] = value;
            if (_count++ != 0)
            {
                return;
            }

            _empty.Reset();
        }

        _wake.Signal();
    }

    /// <summary>Waits until all of it has gone out.</summary>
    /// <param name="timeout">How long at most.</param>
    /// <returns>False if something is left.</returns>
    public bool Flush(TimeSpan timeout) => _empty.Wait(timeout);

    /// <summary>Makes a write that waits for its reader give up, so that the worker can be stopped.</summary>
    public void Abandon() => _stopping = true;

    /// <inheritdoc/>
    public void Dispose()
    {
        _stopping = true;
        _watch.Dispose();
        _wake.Dispose();
        _empty.Dispose();
        _own?.Dispose();
    }

    private void WriteOut()
    {
        while (!_stopping)
        {
            int length;
            lock (_lock)
            {
                length = Math.Min(Math.Min(_count, Chunk), Capacity - _head);
                _ring.AsSpan(_head, length).CopyTo(_chunk);
            }

            if (length == 0)
            {
                return;
            }

            int written = WriteChunk(_chunk.AsSpan(0, length));
            lock (_lock)
            {
                _head = (_head + written) % Capacity;
                _count -= written;
                if (_count == 0)
                {
                    _empty.Set();
                }
            }

            Drained?.Invoke();
        }
    }

    private int WriteChunk(ReadOnlySpan<byte> bytes)
    {
        while (!_broken && !_stopping)
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
}
