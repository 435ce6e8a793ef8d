using System;

namespace Vmm.DeviceModel.Events;

/// <summary>A named background thread that sleeps in epoll until a descriptor is ready and runs its callback.</summary>
public sealed class Worker : IDisposable
{
    /// <summary>Makes a worker that is not running yet.</summary>
    /// <param name="name">Name of the thread, at most 15 bytes are visible in /proc.</param>
    public Worker(string name) => throw new NotImplementedException();

    /// <summary>Watches an eventfd; it is consumed before the callback runs. Callable before the start or from any thread.</summary>
    /// <param name="source">What to wait for.</param>
    /// <param name="onSignalled">Runs on the worker's thread; an exception stops the worker and raises <see cref="Faulted"/>.</param>
    /// <returns>Stops watching when disposed; when that returns (from another thread), the callback is not running and will not run again.</returns>
    public IDisposable Watch(EventFd source, Action onSignalled) => throw new NotImplementedException();

    /// <summary>Watches any pollable descriptor, level-triggered, for being readable.</summary>
    /// <param name="descriptor">A descriptor that stays open until the result is disposed.</param>
    /// <param name="onReadable">Runs on the worker's thread while the descriptor is readable.</param>
    public IWatch WatchReadable(int descriptor, Action onReadable) => throw new NotImplementedException();

    /// <summary>Runs an action on the worker's thread after what it is doing now.</summary>
    /// <param name="action">What to run.</param>
    public void Post(Action action) => throw new NotImplementedException();

    /// <summary>Starts the thread.</summary>
    public void Start() => throw new NotImplementedException();

    /// <summary>Asks the thread to end and waits for it; idempotent; may be called before the start. Not from the worker's own thread.</summary>
    public void Stop() => throw new NotImplementedException();

    /// <summary>Raised once, on the worker's thread, when a callback threw; the worker has ended.</summary>
    public event Action<Exception>? Faulted
    {
        add => throw new NotImplementedException();
        remove => throw new NotImplementedException();
    }

    /// <inheritdoc/>
    public void Dispose() => throw new NotImplementedException();
}
