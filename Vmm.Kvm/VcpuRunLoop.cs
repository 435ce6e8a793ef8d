using System;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Interop;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The thread of one vCPU: enters the guest, dispatches what leaves it, and ends when the guest or the embedder says so.</summary>
/// <remarks>
/// The methods may be called from any thread; those that wait must not be called from a vCPU's own thread, that is, from a device's handler.
/// <para>
/// Kicking loses no wake-up: the kick signal is blocked in the thread and unblocked only inside KVM_RUN (KVM_SET_SIGNAL_MASK), so a signal that
/// arrives between two entries stays pending and ends the next one at once; immediate_exit does the same without a signal. Since KVM_RUN
/// finishes a pending MMIO or port access before it looks at either, a paused vCPU has none outstanding (KVM-3).
/// </para>
/// <para>Locks: <c>_gate</c> covers requests and the kick; it is never held while guest code or a device runs, and nothing is taken under it.</para>
/// </remarks>
public sealed unsafe class VcpuRunLoop : IDisposable
{
    private static readonly uint KvmRun = KvmRequests.KVM_RUN;

    /// <summary>
    /// How often in a row KVM may say "again" before the thread begins to rest between two tries. A vCPU that waits to be started says so once when
    /// it is; with a non-maskable interrupt pending, for ever: KVM takes that for a reason to wake up and not for one to start.
    /// </summary>
    private const int EagerTries = 3;

    private const int RestMilliseconds = 10;

    /// <summary>How long a waiter waits before it sends a kick again that the system refused to queue.</summary>
    private const int RetryMilliseconds = 20;

    [ThreadStatic]
    private static KvmVcpu? _current;

    private readonly KvmVcpu _vcpu;
    private readonly VcpuExitDispatcher _dispatcher;
    private readonly Action<VcpuRunLoop>? _onEnded;
    private readonly object _gate = new();
    private Thread? _thread;
    private int _threadId;
    private bool _kicked;
    private bool _pauseRequested;
    private bool _paused;
    private bool _ended;
    private VmStopReason? _stop;

    /// <summary>Makes a loop that is not running yet.</summary>
    /// <param name="vcpu">What it runs.</param>
    /// <param name="memory">Answers MMIO.</param>
    /// <param name="ports">Answers port I/O.</param>
    /// <param name="onEnded">Called once, on the vCPU's thread, as the last thing it does.</param>
    public VcpuRunLoop(KvmVcpu vcpu, AddressSpace memory, AddressSpace ports, Action<VcpuRunLoop>? onEnded = null)
    {
        ArgumentNullException.ThrowIfNull(vcpu);
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(ports);
        _vcpu = vcpu;
        _dispatcher = new VcpuExitDispatcher(vcpu, memory, ports);
        _onEnded = onEnded;
    }

    /// <summary>The vCPU that the calling thread runs, or null.</summary>
    public static KvmVcpu? CurrentVcpu => _current;

    /// <summary>What it runs.</summary>
    public KvmVcpu Vcpu => _vcpu;

    /// <summary>How often the guest was left for something to handle. Read without stopping anybody.</summary>
    public long Exits => _dispatcher.Exits;

    /// <summary>Why the loop ended, or was asked to; null while nobody asked.</summary>
    public VmStopReason? StopReason
    {
        get
        {
            lock (_gate)
            {
                return _stop;
            }
        }
    }

    /// <summary>True while the vCPU waits outside of the guest for <see cref="Resume"/>.</summary>
    public bool IsPaused
    {
        get
        {
            lock (_gate)
            {
                return _paused;
            }
        }
    }

    /// <summary>Starts the thread.</summary>
    /// <exception cref="HostException">The system gives no thread.</exception>
    /// <exception cref="InvalidOperationException">The loop was started before, or another one runs the vCPU.</exception>
    public void Start()
    {
        lock (_gate)
        {
            if (_thread is not null || _vcpu.IsRunning)
            {
                throw new InvalidOperationException($"vCPU {_vcpu.Id} was started already");
            }

            var thread = new Thread(ThreadMain) { IsBackground = true, Name = $"vcpu{_vcpu.Id}" };
            _vcpu.IsRunning = true;
            try
            {
                thread.UnsafeStart();
            }
            catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
            {
                _vcpu.IsRunning = false;
                throw new HostException(
                    $"starting thread vcpu{_vcpu.Id}", Errno.EAGAIN,
                    "the limit of threads is reached (RLIMIT_NPROC, pids.max of the control group, kernel.threads-max)");
            }

            _thread = thread;
        }
    }

    /// <summary>Asks the vCPU to leave the guest and wait; returns at once.</summary>
    public void RequestPause()
    {
        lock (_gate)
        {
            _pauseRequested = true;
            Kick();
        }
    }

    /// <summary>Waits until the vCPU is out of the guest with nothing outstanding, or has ended.</summary>
    public void WaitUntilPaused() => _ = WaitUntilPaused(Timeout.InfiniteTimeSpan);

    /// <summary>Waits for a limited time until the vCPU is out of the guest with nothing outstanding, or has ended.</summary>
    /// <param name="limit">How long at most; a handler that waits for somebody else may keep a vCPU as long as it likes.</param>
    /// <returns>False if it is still in the guest or in a handler.</returns>
    public bool WaitUntilPaused(TimeSpan limit)
    {
        RefuseOwnThread();
        long start = Stopwatch.GetTimestamp();
        lock (_gate)
        {
            while (_thread is not null && !_paused && !_ended)
            {
                if (limit != Timeout.InfiniteTimeSpan && Stopwatch.GetElapsedTime(start) >= limit)
                {
                    return false;
                }

                if (!Monitor.Wait(_gate, RetryMilliseconds) && _pauseRequested)
                {
                    Kick();
                }
            }
        }

        return true;
    }

    /// <summary>Lets a paused vCPU go on; idempotent.</summary>
    public void Resume()
    {
        lock (_gate)
        {
            _pauseRequested = false;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Asks the loop to end; returns at once. The first reason stays.</summary>
    /// <param name="reason">Why.</param>
    /// <returns>True if this was the first.</returns>
    public bool RequestStop(VmStopReason reason)
    {
        ArgumentNullException.ThrowIfNull(reason);
        lock (_gate)
        {
            bool first = _stop is null;
            _stop ??= reason;
            Kick();
            Monitor.PulseAll(_gate);
            return first;
        }
    }

    /// <summary>Waits until the thread has ended; returns at once if it was never started.</summary>
    public void Join()
    {
        RefuseOwnThread();
        Thread? thread;
        lock (_gate)
        {
            thread = _thread;
        }

        while (thread is not null && !thread.Join(RetryMilliseconds))
        {
            lock (_gate)
            {
                if (_stop is not null)
                {
                    Kick();
                }
            }
        }
    }

    /// <summary>Stops the loop and waits for its thread.</summary>
    public void Dispose()
    {
        RequestStop(VmStopReason.Stopped);
        Join();
    }

    private void RefuseOwnThread()
    {
        if (_thread == Thread.CurrentThread)
        {
            throw new InvalidOperationException("a vCPU's own thread cannot wait for itself");
        }
    }

    private void ThreadMain()
    {
        bool referenced = false;
        try
        {
            _vcpu.Descriptor.DangerousAddRef(ref referenced);
            _current = _vcpu;
            KickSignal.BlockInThread(out ulong guestMask);
            _vcpu.SetSignalMask(guestMask);
            lock (_gate)
            {
                _threadId = Signals.gettid();
            }

            if (ServeRequests())
            {
                Run((int)_vcpu.Descriptor.DangerousGetHandle());
            }
        }
        catch (Exception e)
        {
            // The top of a thread: whatever escapes would end the process.
            Finish(new VmStopReason(VmStopKind.HostError, $"vCPU {_vcpu.Id}: {e.Message}", _vcpu.Id));
        }
        finally
        {
            _current = null;
            if (referenced)
            {
                _vcpu.Descriptor.DangerousRelease();
            }

            lock (_gate)
            {
                _threadId = 0;
                _vcpu.RunPage->immediate_exit = 0;
                _vcpu.IsRunning = false;
                _ended = true;
                Monitor.PulseAll(_gate);
            }

            _onEnded?.Invoke(this);
        }
    }

    private void Run(int descriptor)
    {
        int tries = 0;
        while (true)
        {
            if (KvmCall.Raw(descriptor, KvmRun, 0) >= 0)
            {
                tries = 0;
                if (_dispatcher.Dispatch())
                {
                    continue;
                }

                if (_dispatcher.Outcome is VmStopReason reason)
                {
                    Finish(reason);
                    return;
                }

                WaitHalted();
                return;
            }

            // Only after a failure, and before anything else is called.
            int errno = Marshal.GetLastSystemError();
            if (errno is not (Errno.EINTR or Errno.EAGAIN))
            {
                Finish(_dispatcher.DescribeFailure(errno));
                return;
            }

            if (!ServeRequests())
            {
                return;
            }

            tries = errno == Errno.EAGAIN ? tries + 1 : tries;
            if (tries > EagerTries)
            {
                Rest();
            }
        }
    }

    /// <summary>Waits a little, or until somebody asks for something.</summary>
    private void Rest()
    {
        lock (_gate)
        {
            if (_stop is null && !_pauseRequested)
            {
                Monitor.Wait(_gate, RestMilliseconds);
            }
        }
    }

    /// <summary>HLT without interrupt controllers: nothing can wake the guest, so only a stop ends this.</summary>
    private void WaitHalted()
    {
        do
        {
            KickSignal.Wait();
        }
        while (ServeRequests());
    }

    /// <summary>Takes back the kick and does what was asked for.</summary>
    /// <returns>False if the loop is to end.</returns>
    private bool ServeRequests()
    {
        lock (_gate)
        {
            // A kick is sent under the lock, so after this none is on its way.
            KickSignal.Consume();
            _vcpu.RunPage->immediate_exit = 0;
            _kicked = false;
            while (_pauseRequested && _stop is null)
            {
                _paused = true;
                Monitor.PulseAll(_gate);
                Monitor.Wait(_gate);
            }

            _paused = false;
            if (_kicked)
            {
                // Kicked again while paused: the signal must not end the next entry for nothing.
                KickSignal.Consume();
                _vcpu.RunPage->immediate_exit = 0;
                _kicked = false;
            }

            return _stop is null;
        }
    }

    private void Finish(VmStopReason reason)
    {
        lock (_gate)
        {
            _stop ??= reason;
        }
    }

    /// <summary>Makes the vCPU leave the guest, or not enter it. Under the lock.</summary>
    private void Kick()
    {
        if (_threadId == 0 || _kicked)
        {
            return;
        }

        // Not sent, it is sent again by whoever waits.
        _vcpu.RunPage->immediate_exit = 1;
        _kicked = KickSignal.Send(_threadId);
    }
}
