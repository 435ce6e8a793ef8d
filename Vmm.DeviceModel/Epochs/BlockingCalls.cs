using System.Threading;

namespace Vmm.DeviceModel.Epochs;

/// <summary>Counts the accesses that are in handlers which may wait: what is removed waits for its own, and no other change does.</summary>
/// <remarks>Thread-safe. An access is counted before its thread leaves the epoch (<see cref="AccessSlot.Block"/>).</remarks>
internal sealed class BlockingCalls
{
    private int _count;

    /// <summary>An access begins. The calling thread is inside.</summary>
    public void Begin() => Interlocked.Increment(ref _count);

    /// <summary>The handler has returned.</summary>
    public void End() => Interlocked.Decrement(ref _count);

    /// <summary>
    /// Waits until none is in flight. What is waited for can be found by nobody any more, so that none comes, and the caller holds no lock that
    /// somebody else may want.
    /// </summary>
    public void Wait()
    {
        var wait = default(PollingWait);
        while (Volatile.Read(ref _count) != 0)
        {
            wait.Once();
        }
    }
}
