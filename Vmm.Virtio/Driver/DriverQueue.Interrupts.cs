using System;
using System.Diagnostics;
using System.Threading;
using Vmm.DeviceModel.Events;

namespace Vmm.Virtio.Driver;

/// <content>How the driver hears that a request has completed: by interrupt, and by waiting for one.</content>
public abstract partial class DriverQueue
{
    /// <summary>
    /// The eventfd that completions signal, if <see cref="VirtioDriverOptions.HandsOutEvents"/> and the queue has a vector: the caller waits on it, after
    /// <see cref="ArmInterrupt"/>. What else shares the vector signals it too. Valid until the close.
    /// </summary>
    public EventFd? CompletionEvent { get; internal set; }

    /// <summary>Whether completions can interrupt: by a vector of the queue, or by the pin.</summary>
    public bool HasInterrupt { get; internal set; }

    /// <summary>Interrupts that came for the queue, those of a shared vector or pin included; none of <see cref="CompletionEvent"/>.</summary>
    public long Interrupts => _signal.Interrupts;

    /// <summary>Asks the device to interrupt when it completes a request. It may do so more than once.</summary>
    /// <returns>False if one has completed already, for which there may be no interrupt: take it first.</returns>
    public bool ArmInterrupt()
    {
        ThrowIfClosed();
        AskForInterrupt();

        // Full fence: our wish is out before we look at the ring once more. Pairs with the device's fence between publishing what it used and
        // looking at our wish.
        Interlocked.MemoryBarrier();
        return !HasCompletion();
    }

    /// <summary>Asks the device not to interrupt. A hint; interrupts may still come.</summary>
    public void DisarmInterrupt()
    {
        ThrowIfClosed();
        AskForSilence();
    }

    /// <summary>Waits for a completed request, by interrupt where there is one.</summary>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>The token.</returns>
    /// <exception cref="DriverException">None completes in time, the device needs a reset, or it returned what it was not given.</exception>
    public int WaitComplete(out uint length)
    {
        return TryWaitComplete(_driver.Timeout, out int token, out length)
            ? token
            : throw new DriverException("completion", $"queue {Index} completed nothing in {_driver.Timeout}; status is {_driver.Status}");
    }

    /// <summary>Waits for a completed request, by interrupt where there is one.</summary>
    /// <param name="timeout">How long.</param>
    /// <param name="token">The token that <see cref="TrySubmit(ReadOnlySpan{DriverSegment})"/> returned.</param>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>False if none completed in time.</returns>
    /// <exception cref="DriverException">The device needs a reset, or returned what it was not given.</exception>
    public bool TryWaitComplete(TimeSpan timeout, out int token, out uint length)
    {
        long start = Stopwatch.GetTimestamp();
        var spin = new SpinWait();
        while (!TryComplete(out token, out length))
        {
            TimeSpan left = timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                return false;
            }

            if (!HasInterrupt || CompletionEvent is not null)
            {
                spin.SpinOnce();
                if (spin.Count % PollsBetweenLooks == 0)
                {
                    _driver.ThrowIfNeedsReset();
                }
            }
            else if (ArmInterrupt())
            {
                bool woken = _signal.Wait(left);
                _driver.ServePin(this);
                if (woken && !HasUsed())
                {
                    // What else wakes us is a change of configuration, and a device that fails says so in that way.
                    _driver.ThrowIfNeedsReset();
                }

                DisarmInterrupt();
            }
        }

        return true;
    }

    /// <summary>An interrupt came for the queue: it is counted, and the waiter looks.</summary>
    internal void Signal()
    {
        _signal.Count();
        _signal.Wake();
    }

    /// <summary>An interrupt came for the queue, and its waiter knows.</summary>
    internal void CountInterrupt() => _signal.Count();

    /// <summary>Has a waiter look.</summary>
    internal void Wake() => _signal.Wake();

    private protected abstract void AskForInterrupt();

    private protected abstract void AskForSilence();
}
