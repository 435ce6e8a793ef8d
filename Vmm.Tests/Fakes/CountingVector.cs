using System;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>An interrupt that counts its signals and can be waited for.</summary>
public sealed class CountingVector : IQueueInterrupt, IDisposable
{
    private readonly SemaphoreSlim _signals = new(0);
    private int _count;

    public int Count => Volatile.Read(ref _count);

    public void Signal()
    {
        Interlocked.Increment(ref _count);
        _signals.Release();
    }

    public EventFd GetEventFd() => throw new NotSupportedException("this vector is signalled directly");

    /// <summary>Waits for one signal.</summary>
    public bool Wait(int milliseconds = 10000) => _signals.Wait(milliseconds);

    public void Dispose() => _signals.Dispose();
}
