using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Interop;

namespace Vmm.DeviceModel.Events;

/// <summary>A named background thread that sleeps in epoll until a descriptor is ready and runs its callback.</summary>
/// <remarks>
/// <para>Thread-safe. No lock is held while a callback runs, and waking allocates nothing. Disposing a watch from another thread waits for that
/// watch's callback alone, so a callback must not wait for a thread that disposes its own watch, nor take a lock that such a thread holds.</para>
/// <para>Lock order: the worker's lock is innermost; nothing is called under it but epoll_ctl.</para>
/// </remarks>
public sealed unsafe partial class Worker : IDisposable
{
    private const int MaxEvents = 16;
    private const ulong WakeId = 0;

    private readonly FileDescriptor _epoll;
    private readonly EventFd _wake = new();
    private readonly ConcurrentQueue<Action> _posted = new();
    private readonly Lock _lock = new();
    private readonly object _idle = new();
    private readonly Thread _thread;
    private readonly Action<Thread> _startThread;
    private readonly ILogger _logger;
    private WatchEntry?[] _watches = new WatchEntry?[4];
    private WatchEntry? _running;
    private uint _generation;
    private int _waiters;
    private bool _started;
    private volatile bool _stopping;
    private volatile bool _ended;
    private bool _abandoned;
    private bool _left;

    /// <summary>Makes a worker that is not running yet.</summary>
    /// <param name="name">Name of the thread; 15 bytes of it are visible in /proc.</param>
    /// <param name="loggerFactory">Where a fault is logged.</param>
    /// <exception cref="HostException">The process is out of descriptors.</exception>
    public Worker(string name, ILoggerFactory? loggerFactory = null)
        : this(name, loggerFactory, static thread => thread.UnsafeStart())
    {
    }

    /// <summary>Makes a worker whose thread is started by somebody else: a host without threads cannot be provoked otherwise.</summary>
    internal Worker(string name, ILoggerFactory? loggerFactory, Action<Thread> startThread)
    {
        _startThread = startThread;
        ArgumentException.ThrowIfNullOrEmpty(name);
        _logger = GuardedLogger.Create<Worker>(loggerFactory);
        _epoll = new FileDescriptor(Libc.epoll_create1(Libc.EPOLL_CLOEXEC));
        if (_epoll.IsInvalid)
        {
            int errno = Marshal.GetLastPInvokeError();
            _wake.Dispose();
            throw new HostException("epoll_create1", errno, $"cannot make worker '{name}'; see ulimit -n");
        }

        Control(Libc.EPOLL_CTL_ADD, _wake.Descriptor, WakeId);
        _thread = new Thread(Run) { Name = name, IsBackground = true };
    }

    /// <summary>
    /// Raised once, on the worker's thread, when a callback threw; the worker has ended. A handler must not wait for a thread that stops the worker.
    /// </summary>
    public event Action<Exception>? Faulted;

    /// <summary>True once it has been stopped, or a callback threw: nothing runs on it any more.</summary>
    public bool HasEnded => _ended || _stopping;

    /// <summary>True on the worker's own thread.</summary>
    public bool IsCurrent => Thread.CurrentThread == _thread;

    /// <summary>Watches an eventfd; it is consumed before the callback runs. Callable before the start or from any thread.</summary>
    /// <param name="source">What to wait for; stays open until the result is disposed.</param>
    /// <param name="onSignalled">Runs on the worker's thread; an exception stops the worker and raises <see cref="Faulted"/>.</param>
    /// <returns>Stops watching when disposed; when that returns (from another thread), the callback is not running and will not run again.</returns>
    /// <exception cref="HostException">The kernel refuses, for example because this worker watches the eventfd already.</exception>
    public IWatch Watch(EventFd source, Action onSignalled)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentNullException.ThrowIfNull(onSignalled);
        return AddWatch(source.Descriptor, source, onSignalled);
    }

    /// <summary>Watches any pollable descriptor, level-triggered, for being readable, hung up or in error.</summary>
    /// <param name="descriptor">A descriptor that stays open until the result is disposed.</param>
    /// <param name="onReadable">
    /// Runs on the worker's thread while the descriptor is readable. It must read, or switch the watch off: at the end of a stream a read gives 0
    /// bytes, and the descriptor stays readable for ever.
    /// </param>
    /// <exception cref="HostException">The descriptor cannot be polled (a regular file cannot), or is watched already.</exception>
    public IWatch WatchReadable(int descriptor, Action onReadable)
    {
        ArgumentNullException.ThrowIfNull(onReadable);
        return AddWatch(descriptor, null, onReadable);
    }

    /// <summary>
    /// Runs an action on the worker's thread after what it is doing now; if the worker has not started yet, when it starts. What has not run
    /// when the worker is stopped never runs.
    /// </summary>
    /// <param name="action">What to run; an exception is treated as one of a callback.</param>
    public void Post(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        if (!_stopping)
        {
            _posted.Enqueue(action);
            _wake.Signal();
        }
    }

    /// <summary>Starts the thread; the caller's execution context does not flow into it.</summary>
    /// <exception cref="InvalidOperationException">It was started or stopped before.</exception>
    /// <exception cref="HostException">The host has no thread left; the worker is as before and can be disposed.</exception>
    public void Start()
    {
        lock (_lock)
        {
            if (_started || _stopping)
            {
                throw new InvalidOperationException($"worker '{_thread.Name}' was started or stopped before");
            }

            try
            {
                _startThread(_thread);
            }
            catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
            {
                // Nothing runs, and nothing is to be waited for: a stop finds a worker that was never started.
                throw new HostException(
                    "pthread_create", 0, $"cannot start the thread of worker '{_thread.Name}'; see ulimit -u and the cgroup's pids.max");
            }

            _started = true;
        }
    }

    /// <summary>
    /// Asks the thread to end and waits for it; idempotent; may be called before the start. When it returns no callback runs and none will.
    /// Signals that came too late stay in their eventfds.
    /// </summary>
    /// <exception cref="InvalidOperationException">Called from a callback: the worker cannot wait for its own end.</exception>
    public void Stop() => TryStop(Timeout.InfiniteTimeSpan);

    /// <summary>Stops the thread and closes what the worker owns; watched descriptors stay the caller's.</summary>
    public void Dispose() => TryDispose(Timeout.InfiniteTimeSpan);

    /// <summary>
    /// As <see cref="Dispose"/>, for a callback that may not return: waits for it at most so long. After that the thread is on its own: it runs no
    /// further callback, and closes what the worker owns when it ends.
    /// </summary>
    /// <param name="limit">How long to wait.</param>
    /// <returns>True if the thread has ended.</returns>
    /// <exception cref="InvalidOperationException">Called from a callback: the worker cannot wait for its own end.</exception>
    public bool TryDispose(TimeSpan limit)
    {
        bool ended = TryStop(limit);
        lock (_lock)
        {
            _abandoned = !ended && !_left;
            if (!_abandoned)
            {
                Close();
            }
        }

        return ended;
    }

    private bool TryStop(TimeSpan limit)
    {
        if (IsCurrent)
        {
            // A handler of the fault may clean up: the loop has ended by then.
            if (_ended)
            {
                return true;
            }

            throw new InvalidOperationException($"worker '{_thread.Name}' cannot wait for its own end");
        }

        bool started;
        lock (_lock)
        {
            _stopping = true;
            started = _started;
        }

        if (started)
        {
            _wake.Signal();
            if (!_thread.Join(limit))
            {
                return false;
            }
        }

        _posted.Clear();
        return true;
    }

    private void Close()
    {
        Array.Clear(_watches);
        _epoll.Dispose();
        _wake.Dispose();
    }

    private void Run()
    {
        try
        {
            Loop();
            _ended = true;
        }
        catch (Exception exception)
        {
            _stopping = true;
            _ended = true;
            Log.WorkerFaulted(_logger, exception, _thread.Name!);
            RaiseFaulted(exception);
        }

        lock (_lock)
        {
            _left = true;
            if (_abandoned)
            {
                Close();
            }
        }
    }

    private void RaiseFaulted(Exception exception)
    {
        try
        {
            Faulted?.Invoke(exception);
        }
        catch (Exception failure)
        {
            Log.WorkerFaultHandlerFailed(_logger, failure, _thread.Name!);
        }
    }

    private void Loop()
    {
        Libc.epoll_event* events = stackalloc Libc.epoll_event[MaxEvents];
        while (!_stopping)
        {
            if (_polled.Count != 0)
            {
                Poll(events);
            }
            else if (_window.IsPossible)
            {
                // Looking in vain counts: work that comes later than the limit was not worth looking for.
                long idle = _idleSince != 0 ? _idleSince : Stopwatch.GetTimestamp();
                _idleSince = 0;
                Wait(events, -1, out int count);
                _window.AddIdle(Stopwatch.GetTimestamp() - idle);
                RunAll(events, count);
            }
            else
            {
                Look(events, -1);
            }
        }
    }

    /// <summary>Waits for what is watched, and runs what is to be run.</summary>
    /// <returns>False if there was nothing.</returns>
    private bool Look(Libc.epoll_event* events, int milliseconds)
    {
        Wait(events, milliseconds, out int count);
        RunAll(events, count);
        return count > 0;
    }

    private void Wait(Libc.epoll_event* events, int milliseconds, out int count)
    {
        count = Libc.epoll_wait(_epoll.Number, events, MaxEvents, milliseconds);
        if (count < 0)
        {
            int errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR)
            {
                throw new HostException("epoll_wait", errno, $"worker '{_thread.Name}' cannot wait");
            }
        }
    }

    private void RunAll(Libc.epoll_event* events, int count)
    {
        for (int i = 0; i < count && !_stopping; i++)
        {
            if (events[i].data == WakeId)
            {
                RunPosted();
            }
            else
            {
                RunWatch(events[i].data);
            }
        }
    }

    private void RunPosted()
    {
        // Only what is there now: an action that posts itself again must not starve the watches.
        _wake.TryConsume(out _);
        for (int left = _posted.Count; left > 0 && !_stopping && _posted.TryDequeue(out Action? action); left--)
        {
            action();
        }
    }

    private void RunWatch(ulong id)
    {
        WatchEntry?[] watches = Volatile.Read(ref _watches);
        uint index = (uint)id;
        WatchEntry? entry = index < (uint)watches.Length ? Volatile.Read(ref watches[index]) : null;
        if (entry is null || entry.Id != id)
        {
            return;
        }

        // A full fence between "running" and the look at "disposed". Its pair is in WaitWhileRunning: one of the two sees the other.
        Interlocked.Exchange(ref _running, entry);
        try
        {
            entry.Run();
        }
        finally
        {
            // A full fence between "not running" and the look at the waiters: a waiter counts itself before it looks.
            Interlocked.Exchange(ref _running, null);
            if (Volatile.Read(ref _waiters) != 0)
            {
                lock (_idle)
                {
                    Monitor.PulseAll(_idle);
                }
            }
        }
    }

    private void WaitWhileRunning(WatchEntry entry)
    {
        Interlocked.Increment(ref _waiters);
        lock (_idle)
        {
            while (Volatile.Read(ref _running) == entry)
            {
                Monitor.Wait(_idle);
            }
        }

        Interlocked.Decrement(ref _waiters);
    }
}
