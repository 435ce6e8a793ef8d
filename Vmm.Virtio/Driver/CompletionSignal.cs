using System;
using System.Threading;

namespace Vmm.Virtio.Driver;

/// <summary>What a waiter for completions sleeps on, and the count of the interrupts that came. Thread-safe.</summary>
/// <remarks>A wake-up is kept until somebody waits. Its lock is a leaf.</remarks>
internal sealed class CompletionSignal
{
    private readonly object _lock = new();
    private bool _signalled;
    private long _interrupts;

    /// <summary>Interrupts that came.</summary>
    public long Interrupts => Interlocked.Read(ref _interrupts);

    /// <summary>Counts an interrupt.</summary>
    public void Count() => Interlocked.Increment(ref _interrupts);

    /// <summary>Has the waiter look, or the next one.</summary>
    public void Wake()
    {
        lock (_lock)
        {
            _signalled = true;
            Monitor.Pulse(_lock);
        }
    }

    /// <summary>Sleeps until there is a wake-up, and takes it.</summary>
    /// <returns>False if none came in time.</returns>
    public bool Wait(TimeSpan timeout)
    {
        lock (_lock)
        {
            bool came = _signalled || Monitor.Wait(_lock, timeout);
            _signalled = false;
            return came;
        }
    }
}
