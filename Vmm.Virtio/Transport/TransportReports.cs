using System;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Virtio.Transport;

/// <summary>Mistakes on one transport, counted and, now and then, logged: the driver's mistakes, failures of the device's code, resets needed.</summary>
/// <remarks>Callable from any thread. A guest that provokes the same again and again is counted, not heard each time.</remarks>
/// <param name="name">For logs.</param>
/// <param name="logger">Where to log.</param>
internal sealed class TransportReports(string name, ILogger logger)
{
    private readonly TransportCounters _counters = new();
    private readonly TokenBucket _mistakes = new();
    private readonly TokenBucket _resets = new();
    private readonly TokenBucket _failures = new();
    private long _deviceFailures;

    /// <summary>Exceptions of the device's own code.</summary>
    public long DeviceFailures => Interlocked.Read(ref _deviceFailures);

    /// <summary>How often a driver got something wrong.</summary>
    public long CountOf(GuestMistake mistake) => _counters.Get(mistake);

    /// <summary>A driver's mistake, which was ignored.</summary>
    public void Mistake(GuestMistake mistake, ulong value)
    {
        _counters.Add(mistake);
        if (_mistakes.TryTake(out long suppressed))
        {
            Log.MistakeIgnored(logger, name, mistake, value, suppressed);
        }
    }

    /// <summary>A ring that cannot be used; the reset that it needs is logged with its reason.</summary>
    public void BadRing() => _counters.Add(GuestMistake.BadRing);

    /// <summary>An exception of the device's code, with its stack.</summary>
    public void Failure(Exception failure, string step)
    {
        Interlocked.Increment(ref _deviceFailures);
        if (_failures.TryTake(out long suppressed))
        {
            Log.DeviceFailed(logger, failure, name, step, suppressed);
        }
    }

    /// <summary>DEVICE_NEEDS_RESET was set.</summary>
    public void NeedsReset(string reason)
    {
        if (_resets.TryTake(out long suppressed))
        {
            Log.NeedsReset(logger, name, reason, suppressed);
        }
    }

    /// <summary>A step on the way down: what fails is logged and the way goes on, since a reset always completes (VTP-7).</summary>
    public void Attempt(string step, Action action)
    {
        try
        {
            action();
        }
        catch (Exception failure)
        {
            Failure(failure, step);
        }
    }
}
