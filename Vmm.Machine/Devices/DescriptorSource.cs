using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;

namespace Vmm.Machine.Devices;

/// <summary>Feeds a serial port from a file descriptor, as fast as the guest takes the characters.</summary>
/// <remarks>All state belongs to the worker's thread, except for the flag that tells a vCPU thread that something waits for room.</remarks>
public sealed class DescriptorSource : IDisposable
{
    private readonly int _descriptor;
    private readonly SerialPort _port;
    private readonly Worker _worker;
    private readonly EscapeFilter? _filter;
    private readonly Action _feed;
    private readonly IWatch _watch;
    private readonly byte[] _buffer = new byte[256];
    private int _start;
    private int _end;
    private bool _ended;
    private int _waiting;

    /// <summary>Starts to feed.</summary>
    /// <param name="worker">Reads; it is stopped before the source is disposed.</param>
    /// <param name="descriptor">A pollable descriptor that stays open until the source is disposed.</param>
    /// <param name="port">Receives.</param>
    /// <param name="escape">Called when Ctrl-A x arrives, or null to pass everything on.</param>
    public DescriptorSource(Worker worker, int descriptor, SerialPort port, Action? escape)
    {
        ArgumentNullException.ThrowIfNull(worker);
        ArgumentNullException.ThrowIfNull(port);
        _worker = worker;
        _descriptor = descriptor;
        _port = port;
        _filter = escape is null ? null : new EscapeFilter(escape);
        _feed = Feed;
        _watch = worker.WatchReadable(descriptor, OnReadable);
        port.InputRoom += OnInputRoom;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _port.InputRoom -= OnInputRoom;
        _watch.Dispose();
    }

    private void OnReadable()
    {
        if (_start != _end)
        {
            return;                                             // there is no room yet for what was read before
        }

        int error = DescriptorIo.Read(_descriptor, _buffer, out int count);
        if (error == Errno.EAGAIN)
        {
            return;
        }

        if (count == 0)
        {
            _ended = true;
            _watch.Enabled = false;
            return;
        }

        _start = 0;
        _end = _filter?.Apply(_buffer.AsSpan(0, count)) ?? count;
        Feed();
    }

    private void Feed()
    {
        // The flag is up before the port is asked: room that appears in between is not missed.
        Volatile.Write(ref _waiting, 1);
        while (_start != _end)
        {
            int taken = _port.Receive(_buffer.AsSpan(_start, _end - _start));
            if (taken == 0)
            {
                _watch.Enabled = false;
                return;
            }

            _start += taken;
        }

        Volatile.Write(ref _waiting, 0);
        _watch.Enabled = !_ended;
    }

    private void OnInputRoom()
    {
        if (Interlocked.Exchange(ref _waiting, 0) != 0)
        {
            _worker.Post(_feed);
        }
    }
}
