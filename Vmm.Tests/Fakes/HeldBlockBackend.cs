using System;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fakes;

/// <summary>A disk whose requests end when the test says so: on the thread that says it, or fetched by the worker from its queue's path.</summary>
/// <param name="hasQueues">Give each queue a path of its own.</param>
public sealed class HeldBlockBackend(bool hasQueues = false) : IBlockBackend
{
    private readonly SemaphoreSlim _arrived = new(0);
    private readonly ConcurrentDictionary<BlockRequest, HeldQueue> _queues = new();
    private int _openQueues;

    public long Length => 1L << 40;

    public bool IsReadOnly => false;

    /// <summary>Requests that have not ended, in the order in which they came.</summary>
    public ConcurrentQueue<BlockRequest> Held { get; } = new();

    public bool IsDisposed { get; private set; }

    /// <summary>Runs first in each commit of a path.</summary>
    public Action OnCommit { get; set; } = static () => { };

    /// <summary>Paths that were opened and not disposed.</summary>
    public int OpenQueues => Volatile.Read(ref _openQueues);

    public IBlockQueue? OpenQueue(int size) => hasQueues ? new HeldQueue(this) : null;

    public void Submit(BlockRequest request)
    {
        if (request.Operation == BlockOperation.Flush)
        {
            request.Complete(BlockStatus.Ok);
            return;
        }

        Held.Enqueue(request);
        _arrived.Release();
    }

    /// <summary>Ends a request that was taken from <see cref="Held"/>.</summary>
    public void End(BlockRequest request, BlockStatus status)
    {
        if (_queues.TryRemove(request, out HeldQueue? queue))
        {
            queue.End(request, status);
        }
        else
        {
            request.Complete(status);
        }
    }

    /// <summary>Waits until so many more have come.</summary>
    public void WaitArrived(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _arrived.Wait(TimeSpan.FromSeconds(60)).Should().BeTrue("a request must reach the back-end");
        }
    }

    public void Dispose() => IsDisposed = true;

    /// <summary>Holds what is submitted until it is committed; says on an eventfd that something has ended.</summary>
    private sealed class HeldQueue : IBlockQueue
    {
        private readonly HeldBlockBackend _backend;
        private readonly ConcurrentQueue<BlockRequest> _submitted = new();
        private readonly ConcurrentQueue<(BlockRequest Request, BlockStatus Status)> _ended = new();
        private readonly EventFd _signal = new();
        private int _inFlight;

        public HeldQueue(HeldBlockBackend backend)
        {
            _backend = backend;
            Interlocked.Increment(ref backend._openQueues);
        }

        public int Descriptor => _signal.Descriptor;

        public bool IsIdle => Volatile.Read(ref _inFlight) == 0;

        public void Submit(BlockRequest request)
        {
            Interlocked.Increment(ref _inFlight);
            _submitted.Enqueue(request);
        }

        public void Commit()
        {
            _backend.OnCommit();
            while (_submitted.TryDequeue(out BlockRequest? request))
            {
                if (request.Operation == BlockOperation.Flush)
                {
                    _ended.Enqueue((request, BlockStatus.Ok));
                    continue;
                }

                _backend._queues[request] = this;
                _backend.Submit(request);
            }
        }

        public bool TryReap([NotNullWhen(true)] out BlockRequest? request, out BlockStatus status)
        {
            _signal.TryConsume(out _);
            bool any = _ended.TryDequeue(out (BlockRequest Request, BlockStatus Status) end);
            (request, status) = end;
            if (any)
            {
                Interlocked.Decrement(ref _inFlight);
            }

            return any;
        }

        // As storage that has what it was given, and cannot give it back.
        public void Cancel() => Commit();

        public void End(BlockRequest request, BlockStatus status)
        {
            _ended.Enqueue((request, status));
            _signal.Signal();
        }

        public void Dispose()
        {
            IsIdle.Should().BeTrue("a path is not closed under its requests");
            _signal.Dispose();
            Interlocked.Decrement(ref _backend._openQueues);
        }
    }
}
