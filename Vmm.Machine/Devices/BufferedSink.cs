using System;
using System.Threading;
using Vmm.DeviceModel.Events;

namespace Vmm.Machine.Devices;

/// <summary>A sink that keeps 64 KiB until they are written, on a worker's thread.</summary>
/// <remarks>
/// The lock covers the ring; nothing is called under it. What cannot be written (the reader of a pipe is gone) is dropped, so that the guest goes on.
/// </remarks>
public abstract class BufferedSink : ICharacterSink, IDisposable
{
    private const int Capacity = 1 << 16;
    private const int Chunk = 4096;                             // a pipe that polls as writable takes that much at once, if it is ours alone

    private readonly Lock _lock = new();
    private readonly EventFd _wake = new();
    private readonly IDisposable _watch;
    private readonly ManualResetEventSlim _empty = new(true);
    private readonly byte[] _ring = new byte[Capacity];
    private readonly byte[] _chunk = new byte[Chunk];
    private int _head;
    private int _count;
    private volatile bool _stopping;

    /// <summary>Makes an empty sink.</summary>
    /// <param name="worker">Writes; not running yet or running. It is stopped before the sink is disposed.</param>
    protected BufferedSink(Worker worker)
    {
        ArgumentNullException.ThrowIfNull(worker);
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

    /// <summary>The sink is to end: a write that waits for its reader gives up.</summary>
    protected bool IsAbandoned => _stopping;

    /// <summary>Makes a write that waits for its reader give up, so that the worker can be stopped.</summary>
    public void Abandon() => _stopping = true;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Writes some characters, on the worker's thread.</summary>
    /// <param name="bytes">One to 4096.</param>
    /// <returns>How many are dealt with, at least one: written, or dropped since they cannot be.</returns>
    protected abstract int WriteChunk(ReadOnlySpan<byte> bytes);

    /// <summary>Ends the sink.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        _stopping = true;
        _watch.Dispose();
        _wake.Dispose();
        _empty.Dispose();
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
}
