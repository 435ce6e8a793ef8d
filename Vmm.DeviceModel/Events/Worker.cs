using System;
using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Events;

/// <summary>A named background thread that sleeps in epoll until a descriptor is ready and runs its callback.</summary>
/// <remarks>
/// Thread-safe. Each watch has a gate that is held while its callback runs; disposing a watch from another thread takes the gate once, and so
/// waits for the callback. A callback must therefore not wait for a thread that disposes its own watch. Waking allocates nothing.
/// </remarks>
public sealed unsafe class Worker : IDisposable
{
    private const int MaxEvents = 16;
    private const ulong WakeId = 0;

    private readonly FileDescriptor _epoll;
    private readonly EventFd _wake = new();
    private readonly ConcurrentDictionary<ulong, WatchEntry> _watches = new();
    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly Lock _lifecycle = new();
    private readonly Thread _thread;
    private ulong _lastId;
    private bool _started;
    private volatile bool _stopping;

    /// <summary>Makes a worker that is not running yet.</summary>
    /// <param name="name">Name of the thread; 15 bytes of it are visible in /proc.</param>
    /// <exception cref="HypervisorException">The process is out of descriptors.</exception>
    public Worker(string name)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        _epoll = new FileDescriptor(Libc.epoll_create1(Libc.EPOLL_CLOEXEC));
        if (_epoll.IsInvalid)
        {
            int errno = Marshal.GetLastPInvokeError();
            _wake.Dispose();
            throw new HypervisorException("epoll_create1", errno, $"cannot make worker '{name}'; see ulimit -n");
        }

        Control(Libc.EPOLL_CTL_ADD, _wake.Descriptor, Libc.EPOLLIN, WakeId);
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>Raised once, on the worker's thread, when a callback threw; the worker has ended.</summary>
    public event Action<Exception>? Faulted;

    /// <summary>True on the worker's own thread.</summary>
    public bool IsCurrent => Thread.CurrentThread == _thread;

    /// <summary>Watches an eventfd; it is consumed before the callback runs. Callable before the start or from any thread.</summary>
    /// <param name="source">What to wait for; stays open until the result is disposed.</param>
    /// <param name="onSignalled">Runs on the worker's thread; an exception stops the worker and raises <see cref="Faulted"/>.</param>
    /// <returns>Stops watching when disposed; when that returns (from another thread), the callback is not running and will not run again.</returns>
    public IDisposable Watch(EventFd source, Action onSignalled)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(onSignalled);
        return AddWatch(source.Descriptor, source, onSignalled);
    }

    /// <summary>Watches any pollable descriptor, level-triggered, for being readable (or hung up).</summary>
    /// <param name="descriptor">A descriptor that stays open until the result is disposed.</param>
    /// <param name="onReadable">Runs on the worker's thread while the descriptor is readable.</param>
    /// <exception cref="HypervisorException">The descriptor cannot be polled.</exception>
    public IWatch WatchReadable(int descriptor, Action onReadable)
    {
        ArgumentNullException.ThrowIfNull(onReadable);
        return AddWatch(descriptor, null, onReadable);
    }

    /// <summary>Runs an action on the worker's thread after what it is doing now; actions posted after the stop do not run.</summary>
    /// <param name="action">What to run.</param>
    public void Post(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        _posted.Enqueue(action);
        _wake.Signal();
    }

    /// <summary>Starts the thread.</summary>
    /// <exception cref="InvalidOperationException">It was started or stopped before.</exception>
    public void Start()
    {
        lock (_lifecycle)
        {
            if (_started || _stopping)
            {
                throw new InvalidOperationException($"worker '{_thread.Name}' was started or stopped before");
            }

            _started = true;
            _thread.UnsafeStart();
        }
    }

    /// <summary>Asks the thread to end and waits for it; idempotent; may be called before the start. Not from the worker's own thread.</summary>
    public void Stop()
    {
        bool started;
        lock (_lifecycle)
        {
            _stopping = true;
            started = _started;
        }

        if (!started)
        {
            return;
        }

        if (IsCurrent)
        {
            throw new InvalidOperationException($"worker '{_thread.Name}' cannot wait for its own end");
        }

        _wake.Signal();
        _thread.Join();
    }

    /// <summary>Stops the thread and closes what the worker owns; watched descriptors stay the caller's.</summary>
    public void Dispose()
    {
        Stop();
        _watches.Clear();
        _epoll.Dispose();
        _wake.Dispose();
    }

    private WatchEntry AddWatch(int descriptor, EventFd? source, Action callback)
    {
        var entry = new WatchEntry(this, Interlocked.Increment(ref _lastId), descriptor, source, callback);
        _watches[entry.Id] = entry;
        try
        {
            Control(Libc.EPOLL_CTL_ADD, descriptor, Libc.EPOLLIN, entry.Id);
        }
        catch
        {
            _watches.TryRemove(entry.Id, out _);
            throw;
        }

        return entry;
    }

    private void Control(int operation, int descriptor, uint events, ulong id)
    {
        var request = new Libc.epoll_event { events = events, data = id };
        if (Libc.epoll_ctl(_epoll.Number, operation, descriptor, &request) != 0)
        {
            throw new HypervisorException("epoll_ctl", Marshal.GetLastPInvokeError(), $"cannot watch descriptor {descriptor}");
        }
    }

    private void Run()
    {
        try
        {
            Loop();
        }
        catch (Exception exception)
        {
            _stopping = true;
            Faulted?.Invoke(exception);
        }
    }

    private void Loop()
    {
        var events = stackalloc Libc.epoll_event[MaxEvents];
        while (!_stopping)
        {
            int count = Libc.epoll_wait(_epoll.Number, events, MaxEvents, -1);
            if (count < 0)
            {
                int errno = Marshal.GetLastPInvokeError();
                if (errno != Libc.EINTR)
                {
                    throw new HypervisorException("epoll_wait", errno, $"worker '{_thread.Name}' cannot wait");
                }

                continue;
            }

            for (int i = 0; i < count && !_stopping; i++)
            {
                if (events[i].data == WakeId)
                {
                    _wake.TryConsume(out _);
                    while (!_stopping && _posted.TryDequeue(out var action))
                    {
                        action();
                    }
                }
                else if (_watches.TryGetValue(events[i].data, out var entry))
                {
                    entry.Run();
                }
            }
        }
    }

    private sealed class WatchEntry(Worker worker, ulong id, int descriptor, EventFd? source, Action callback) : IWatch
    {
        private readonly Lock _gate = new();
        private bool _disposed;
        private bool _enabled = true;

        public ulong Id => id;

        public bool Enabled
        {
            get => Volatile.Read(ref _enabled);
            set
            {
                lock (_gate)
                {
                    if (_disposed || _enabled == value)
                    {
                        return;
                    }

                    // Taken out, not masked: epoll reports hang-ups of what it holds whether asked or not, and that would spin.
                    worker.Control(value ? Libc.EPOLL_CTL_ADD : Libc.EPOLL_CTL_DEL, descriptor, Libc.EPOLLIN, id);
                    Volatile.Write(ref _enabled, value);
                }
            }
        }

        public void Run()
        {
            lock (_gate)
            {
                // Gone or switched off between the kernel's report and now.
                if (_disposed || !_enabled || (source != null && !source.TryConsume(out _)))
                {
                    return;
                }

                callback();
            }
        }

        public void Dispose()
        {
            // The gate is recursive: from inside the callback this returns at once.
            lock (_gate)
            {
                if (_disposed)
                {
                    return;
                }

                _disposed = true;
                if (worker._watches.TryRemove(id, out _) && _enabled && !worker._epoll.IsClosed)
                {
                    var unused = default(Libc.epoll_event);
                    _ = Libc.epoll_ctl(worker._epoll.Number, Libc.EPOLL_CTL_DEL, descriptor, &unused);
                }
            }
        }
    }
}
