using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Kvm;

/// <summary>All vCPUs of a machine as one: they start, pause and end together, and the first reason to end is everybody's.</summary>
/// <remarks>
/// <see cref="RequestStop"/> may be called from anywhere, a device's handler included; what waits must not be called from a vCPU's thread.
/// Lock order: <c>_lock</c>, then a loop's own.
/// </remarks>
public sealed class VcpuGroup : IDisposable
{
    private readonly VcpuRunLoop[] _loops;
    private readonly ILogger _logger;
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource<VmStopReason> _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private VmStopReason? _reason;
    private int _alive;
    private bool _started;

    /// <summary>Makes a group that is not running yet.</summary>
    /// <param name="vcpus">At least one.</param>
    /// <param name="memory">Answers MMIO.</param>
    /// <param name="ports">Answers port I/O.</param>
    /// <param name="loggerFactory">Where the end is logged.</param>
    public VcpuGroup(IReadOnlyList<KvmVcpu> vcpus, AddressSpace memory, AddressSpace ports, ILoggerFactory? loggerFactory = null)
    {
        ArgumentNullException.ThrowIfNull(vcpus);
        if (vcpus.Count == 0)
        {
            throw new ArgumentException("at least one vCPU", nameof(vcpus));
        }

        _logger = GuardedLogger.Create(loggerFactory, "Vmm.Kvm");
        _loops = [.. vcpus.Select(vcpu => new VcpuRunLoop(vcpu, memory, ports, OnEnded))];
    }

    /// <summary>The loops, in the vCPUs' order.</summary>
    public IReadOnlyList<VcpuRunLoop> Loops => _loops;

    /// <summary>Done when every vCPU's thread has ended: the first reason.</summary>
    public Task<VmStopReason> Completion => _completion.Task;

    /// <summary>Starts every vCPU; if one cannot be started, those that were are ended again.</summary>
    /// <exception cref="HostException">The system gives no thread.</exception>
    /// <exception cref="InvalidOperationException">The group was started before.</exception>
    public void Start()
    {
        lock (_lock)
        {
            if (_started)
            {
                throw new InvalidOperationException("the group was started already");
            }

            _started = true;
            _alive = _loops.Length;
        }

        for (int i = 0; i < _loops.Length; i++)
        {
            try
            {
                _loops[i].Start();
            }
            catch
            {
                Volatile.Write(ref _reason, _reason ?? VmStopReason.Stopped);
                foreach (VcpuRunLoop started in _loops.AsSpan(0, i))
                {
                    started.Dispose();
                }

                throw;
            }
        }
    }

    /// <summary>Takes every vCPU out of the guest; returns when all are out with nothing outstanding. Idempotent.</summary>
    public void Pause() => _ = TryPause(Timeout.InfiniteTimeSpan);

    /// <summary>Takes every vCPU out of the guest, all at once. Idempotent.</summary>
    /// <param name="limit">How long to wait for the last one at most.</param>
    /// <returns>True when all are out with nothing outstanding; false, and all go on, if one is in a handler still.</returns>
    public bool TryPause(TimeSpan limit)
    {
        foreach (VcpuRunLoop loop in _loops)
        {
            loop.RequestPause();
        }

        long start = Stopwatch.GetTimestamp();
        foreach (VcpuRunLoop loop in _loops)
        {
            var left = TimeSpan.FromTicks(Math.Max(0, (limit - Stopwatch.GetElapsedTime(start)).Ticks));
            if (!loop.WaitUntilPaused(limit == Timeout.InfiniteTimeSpan ? limit : left))
            {
                Resume();
                return false;
            }
        }

        return true;
    }

    /// <summary>Lets paused vCPUs go on. Idempotent.</summary>
    public void Resume()
    {
        foreach (VcpuRunLoop loop in _loops)
        {
            loop.Resume();
        }
    }

    /// <summary>Asks every vCPU to end; returns at once. The first reason stays.</summary>
    /// <param name="reason">Why.</param>
    /// <returns>True if this was the first.</returns>
    public bool RequestStop(VmStopReason reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        bool first = Interlocked.CompareExchange(ref _reason, reason, null) is null;
        foreach (VcpuRunLoop loop in _loops)
        {
            loop.RequestStop(reason);
        }

        return first;
    }

    /// <summary>Ends every vCPU and waits for the threads. Idempotent; also without a start.</summary>
    /// <returns>The first reason, which may be an earlier one of the guest's.</returns>
    public VmStopReason Stop()
    {
        RequestStop(VmStopReason.Stopped);
        foreach (VcpuRunLoop loop in _loops)
        {
            loop.Join();
        }

        return _reason ?? VmStopReason.Stopped;
    }

    /// <summary>Ends every vCPU and waits for the threads.</summary>
    public void Dispose() => Stop();

    private void OnEnded(VcpuRunLoop loop)
    {
        VmStopReason reason = loop.StopReason ?? VmStopReason.Stopped;
        if (RequestStop(reason))
        {
            LogEnd(loop.Vcpu.Id, reason);
        }

        if (Interlocked.Decrement(ref _alive) == 0)
        {
            _completion.TrySetResult(_reason!);
        }
    }

    private void LogEnd(int vcpu, VmStopReason reason)
    {
        if (reason.Kind is VmStopKind.InternalError or VmStopKind.HostError or VmStopKind.TripleFault)
        {
            _logger.FailedVcpu(vcpu, reason.Kind, reason.Message);
        }
        else
        {
            _logger.StoppedByVcpu(vcpu, reason.Kind, reason.Message);
        }
    }
}
