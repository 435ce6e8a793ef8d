using System;
using System.Threading;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.DeviceModel.Bus;

/// <summary>Who watches the accesses.</summary>
public sealed partial class AddressSpace
{
    private readonly TokenBucket _observerReports = new(burst: 3);
    private IAccessObserver? _observer;

    /// <summary>
    /// Sees the accesses to those claims that it wants to see; null, the default, for nobody. Set at any time, not from inside an access. When that
    /// returns, the observer before is not called any more, unless the handler of a blocking claim was on its way. An access to a claim that is not
    /// observed costs the same with an observer as without.
    /// </summary>
    /// <remarks>
    /// Not seen is what does not reach a handler: RAM and other memory that is mapped, notifications that the hypervisor turns into signals
    /// (<see cref="DoorbellClaim"/>), and accesses to a claim that has faulted.
    /// </remarks>
    /// <exception cref="InvalidOperationException">Set from inside an access.</exception>
    public IAccessObserver? Observer
    {
        get => Volatile.Read(ref _observer);
        set
        {
            Domain.ThrowIfInside();
            lock (_lock)
            {
                Volatile.Write(ref _observer, value);
                FlatView view = _view;
                foreach (FlatSegment segment in view.All)
                {
                    if (segment.Claim is { } claim)
                    {
                        segment.Handler = HandlerOf(claim);
                    }
                }

                StandInForFaulted(view);
            }

            Domain.Synchronize();
        }
    }

    /// <summary>The handler of accesses to a claim: its own, perhaps with the observer before it. Under the lock of the space.</summary>
    internal IRegionHandler? HandlerOf(Claim claim)
    {
        IRegionHandler? handler = claim.ActiveHandler;
        return handler is null || claim.HasFaulted || _observer is not { } observer || !observer.Observes(claim)
            ? handler
            : new ObservedHandler(claim, handler, observer);
    }

    /// <summary>Logs that the observer threw.</summary>
    internal void ReportObserver(Exception reason)
    {
        if (_observerReports.TryTake(out long suppressed))
        {
            Log.ObserverFailed(_logger, reason, Name, suppressed);
        }
    }
}
