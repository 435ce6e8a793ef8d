using System;
using System.Diagnostics;
using System.Threading;
using Vmm.Benchmarks.Bus;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>The device body of all cases; writes the nanoseconds between two reads down and pauses its vCPU when there is no more room.</summary>
internal sealed class IntervalDevice : BenchmarkDevice, IDisposable
{
    private uint[] _intervals = [];
    private int _count;
    private long _before;

    /// <summary>Who runs the vCPU.</summary>
    public VcpuRunLoop? Loop { get; set; }

    /// <summary>Bytes that the vCPU's thread had allocated at the first read and at the last.</summary>
    public (long First, long Last) Allocated { get; private set; }

    /// <summary>Set at the end of a block.</summary>
    public AutoResetEvent Done { get; } = new(false);

    /// <summary>Starts a block with the next read; the one that starts the clock is not counted.</summary>
    public void Begin(uint[] intervals)
    {
        _intervals = intervals;
        _count = 0;
        _before = 0;
    }

    public override ulong Read(ulong offset, int width)
    {
        ulong value = base.Read(offset, width);
        long now = Stopwatch.GetTimestamp();
        if (_before == 0)
        {
            Allocated = (GC.GetAllocatedBytesForCurrentThread(), 0);
        }
        else if (_count < _intervals.Length)
        {
            _intervals[_count++] = (uint)((now - _before) * (1_000_000_000 / Stopwatch.Frequency));
            if (_count == _intervals.Length)
            {
                Allocated = (Allocated.First, GC.GetAllocatedBytesForCurrentThread());
                Loop!.RequestPause();
                Done.Set();
            }
        }

        _before = now;
        return value;
    }

    public void Dispose() => Done.Dispose();
}
