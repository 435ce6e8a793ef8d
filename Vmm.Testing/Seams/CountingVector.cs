using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Testing.Seams;

/// <summary>An interrupt that counts its signals and can be waited for, signalled directly or by its eventfd. Thread-safe.</summary>
public sealed class CountingVector : IQueueInterrupt, IDisposable
{
    private readonly SemaphoreSlim _signals = new(0);
    private readonly Lock _lock = new();
    private EventFd? _eventFd;
    private Worker? _relay;
    private int _count;

    /// <summary>Signals so far; those by the eventfd that came while it was not looked at count as one.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <inheritdoc/>
    public void Signal()
    {
        Interlocked.Increment(ref _count);
        _signals.Release();
    }

    /// <summary>The vector's eventfd: the same each time, watched by a thread from the first call on, closed with the vector.</summary>
    /// <exception cref="HostException">The process is out of descriptors or threads.</exception>
    public EventFd GetEventFd()
    {
        lock (_lock)
        {
            if (_eventFd is null)
            {
                _eventFd = new EventFd();
                _relay = new Worker("vector");
                _relay.Watch(_eventFd, Signal);
                _relay.Start();
            }

            return _eventFd;
        }
    }

    /// <summary>Waits for one signal, of those that no call waited for yet.</summary>
    /// <param name="milliseconds">The longest wait; 0 looks only.</param>
    /// <returns>False if none came.</returns>
    public bool Wait(int milliseconds = 10000) => _signals.Wait(milliseconds);

    /// <inheritdoc/>
    public void Dispose()
    {
        _relay?.Dispose();
        _eventFd?.Dispose();
        _signals.Dispose();
    }
}
