using System;
using System.Collections.Concurrent;
using System.Threading;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fakes;

/// <summary>A disk whose requests end when the test says so, on the thread that says it.</summary>
public sealed class HeldBlockBackend : IBlockBackend
{
    private readonly SemaphoreSlim _arrived = new(0);

    public long Length => 1L << 40;

    public bool IsReadOnly => false;

    /// <summary>Requests that have not ended, in the order in which they came.</summary>
    public ConcurrentQueue<BlockRequest> Held { get; } = new();

    public bool IsDisposed { get; private set; }

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

    /// <summary>Waits until so many more have come.</summary>
    public void WaitArrived(int count)
    {
        for (int i = 0; i < count; i++)
        {
            _arrived.Wait(TimeSpan.FromSeconds(60)).Should().BeTrue("a request must reach the back-end");
        }
    }

    public void Dispose() => IsDisposed = true;
}
