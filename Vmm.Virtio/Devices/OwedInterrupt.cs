using System;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Virtio.Devices;

/// <summary>
/// An interrupt for requests that have ended, which waits for more of them: it is due when the worker comes back to the queue. Should the worker stay
/// away, a timer sends it, so that a request that is slow to begin keeps nobody from hearing of those before it.
/// </summary>
/// <remarks>
/// <para>
/// The worker owes and takes; the timer runs on a thread of the pool. An exchange decides which of the two signals. Owing costs one locked
/// instruction for all that one interrupt tells, and starts the timer at most once in <see cref="Limit"/>. A timer that finds the worker back in time
/// sends nothing; one that finds it busy with the next requests sends early.
/// </para>
/// <para>
/// The timer is not armed while something is owed only until the one sees the other: the worker owes, then looks whether it is armed; the timer
/// says that it is not, then looks whether something is owed. Both have a full fence in between.
/// </para>
/// </remarks>
[SuppressMessage("Reliability", "CA1001", Justification = "a timer that is not armed holds nothing, and goes with its handler")]
internal sealed class OwedInterrupt
{
    /// <summary>Milliseconds that a driver waits at most for what has ended.</summary>
    private const int Limit = 2;

    private readonly IInterruptVector _interrupt;
    private readonly Action<Exception> _onFailure;
    private readonly Timer _timer;
    private int _owed;
    private int _armed;
    private int _ticking;
    private volatile bool _closed = true;

    /// <param name="interrupt">Signalled by the timer.</param>
    /// <param name="onFailure">Told of the exception of an interrupt that the embedder made; must not throw or wait.</param>
    public OwedInterrupt(IInterruptVector interrupt, Action<Exception> onFailure)
    {
        _interrupt = interrupt;
        _onFailure = onFailure;
        _timer = new Timer(static owed => ((OwedInterrupt)owed!).Tick(), this, Timeout.Infinite, Timeout.Infinite);
    }

    /// <summary>True while there is one.</summary>
    public bool IsOwed => Volatile.Read(ref _owed) != 0;

    /// <summary>The queue is about to be served; nothing is owed.</summary>
    public void Open()
    {
        Volatile.Write(ref _owed, 0);
        _closed = false;
    }

    /// <summary>The worker leaves the queue with something untold.</summary>
    public void Owe()
    {
        Interlocked.Exchange(ref _owed, 1);
        if (Volatile.Read(ref _armed) == 0)
        {
            Volatile.Write(ref _armed, 1);
            _timer.Change(Limit, Timeout.Infinite);
        }
    }

    /// <summary>Takes what is owed, to signal it.</summary>
    /// <returns>False if there is nothing, or the timer has sent it.</returns>
    public bool TryTake() => IsOwed && Interlocked.Exchange(ref _owed, 0) != 0;

    /// <summary>Nothing is sent any more when this returns.</summary>
    public void Close()
    {
        _closed = true;

        // The pair of the fence in Tick: it sees that this is closed, or is seen.
        Interlocked.MemoryBarrier();
        var wait = default(PollingWait);
        while (Volatile.Read(ref _ticking) != 0)
        {
            wait.Once();
        }
    }

    private void Tick()
    {
        Interlocked.Increment(ref _ticking);
        try
        {
            Interlocked.Exchange(ref _armed, 0);
            if (!_closed && TryTake())
            {
                _interrupt.Signal();
            }
        }
        catch (Exception failure)
        {
            // On a thread of the pool nobody else catches it.
            _onFailure(failure);
        }
        finally
        {
            Interlocked.Decrement(ref _ticking);
        }
    }
}
