using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using Vmm.Virtio.Transport;

namespace Vmm.Machine;

/// <content>A guest that stands still for a while.</content>
public sealed partial class VirtualMachine
{
    // The worker of a device with nothing in flight takes a moment, too.
    private static readonly TimeSpan Least = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Takes all vCPUs out of the guest together, then has the virtio devices begin nothing new, and waits for what is in flight (LIFE-1). Idempotent. A
    /// device of the host goes on by itself: nobody can stop its DMA. Not from inside a guest's access.
    /// </summary>
    /// <param name="limit">How long to wait at most, all in all.</param>
    /// <param name="reason">Who could not be waited for: a vCPU that is in the handler of a slow device, or a disk whose requests do not end.</param>
    /// <returns>False, and the guest goes on, if not everything stood still within the limit.</returns>
    public bool TryPause(TimeSpan limit, [NotNullWhen(false)] out string? reason)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        long start = Stopwatch.GetTimestamp();
        if (!_vcpus!.TryPause(limit))
        {
            reason = $"a vCPU is in the handler of a device and did not come back within {limit.TotalSeconds:0.#} s";
            return false;
        }

        var paused = new List<VirtioPciFunction>();
        foreach (MachineDevice device in Devices)
        {
            if (device.Function is not VirtioPciFunction function)
            {
                continue;
            }

            // One that has come off the bus meanwhile has nothing to pause.
            TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
            if (!function.TryPause(left > Least ? left : Least) && Devices.Contains(device))
            {
                paused.ForEach(static earlier => earlier.Resume());
                _vcpus.Resume();
                reason = $"{device.Id} has requests in flight that did not end within {limit.TotalSeconds:0.#} s";
                return false;
            }

            paused.Add(function);
        }

        reason = null;
        return true;
    }

    /// <summary>True once a vCPU has ended, or was asked to.</summary>
    internal bool IsStopping => _vcpus!.Loops.Any(static loop => loop.StopReason is not null);

    /// <summary>Goes on after <see cref="TryPause"/>: the devices look at their queues and tell their drivers once, then the vCPUs run. Idempotent.</summary>
    public void Resume()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        foreach (VirtioPciFunction function in Devices.Select(static device => device.Function).OfType<VirtioPciFunction>())
        {
            function.Resume();
        }

        _vcpus!.Resume();
    }
}
