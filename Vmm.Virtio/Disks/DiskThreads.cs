using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.Virtio.Devices;

namespace Vmm.Virtio.Disks;

/// <summary>Threads that do requests which wait for the host, one each: made when they are needed, ended when they are not for a while.</summary>
/// <param name="perform">Does a request and completes it; must not throw.</param>
/// <param name="limit">Threads at most.</param>
/// <param name="bounces">Give each thread memory to bounce through.</param>
internal sealed class DiskThreads(Action<BlockRequest, BounceMemory?> perform, int limit, bool bounces) : IDisposable
{
    private const int IdleMilliseconds = 10_000;

    private readonly object _lock = new();
    private readonly Queue<BlockRequest> _requests = new();
    private int _count;
    private int _idle;
    private bool _closed;

    /// <summary>Has a request done. Where the host has no thread left at all, here.</summary>
    public void Submit(BlockRequest request)
    {
        lock (_lock)
        {
            _requests.Enqueue(request);
            if (_requests.Count <= _idle)
            {
                Monitor.Pulse(_lock);
                return;
            }

            if (_count == limit)
            {
                return;
            }

            _count++;
        }

        try
        {
            new Thread(Run) { Name = "disk-io", IsBackground = true }.UnsafeStart();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            Serve(isThread: false);
        }
    }

    /// <summary>The threads end; no request is under way.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _closed = true;
            Monitor.PulseAll(_lock);
        }
    }

    private void Run() => Serve(isThread: true);

    private void Serve(bool isThread)
    {
        using BounceMemory? bounce = bounces ? MakeBounce() : null;
        while (TryTake(isThread, out BlockRequest? request))
        {
            perform(request!, bounce);
        }
    }

    private static BounceMemory? MakeBounce()
    {
        try
        {
            return new BounceMemory(1);
        }
        catch (OutOfMemoryException)
        {
            // The requests that need it fail, and no others.
            return null;
        }
    }

    private bool TryTake(bool waits, out BlockRequest? request)
    {
        lock (_lock)
        {
            bool more = waits;
            while (!_requests.TryDequeue(out request))
            {
                if (!more || _closed)
                {
                    _count--;
                    return false;
                }

                _idle++;
                more = Monitor.Wait(_lock, IdleMilliseconds);
                _idle--;
            }
        }

        return true;
    }
}
