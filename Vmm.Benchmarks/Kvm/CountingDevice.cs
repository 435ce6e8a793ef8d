using System;
using System.Threading;
using Vmm.Benchmarks.Bus;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>The device body of all cases; takes the time at the first and the last read of a block and pauses its vCPU then.</summary>
internal sealed class CountingDevice(CLoop clock) : BenchmarkDevice, IDisposable
{
    private long _left;
    private long _start;

    /// <summary>Who runs the vCPU.</summary>
    public VcpuRunLoop? Loop { get; set; }

    /// <summary>Nanoseconds of processor that the last block took.</summary>
    public long Nanoseconds { get; private set; }

    /// <summary>Set at the end of a block.</summary>
    public AutoResetEvent Done { get; } = new(false);

    /// <summary>Starts a block with the next read; the one that starts the clock is not counted.</summary>
    public void Begin(long exits)
    {
        _left = exits + 1;
        _start = 0;
    }

    public override ulong Read(ulong offset, int width)
    {
        ulong value = base.Read(offset, width);
        if (_start == 0)
        {
            _start = clock.ThreadTime;
        }

        if (--_left == 0)
        {
            Nanoseconds = clock.ThreadTime - _start;
            Loop!.RequestPause();
            Done.Set();
        }

        return value;
    }

    public void Dispose() => Done.Dispose();
}
