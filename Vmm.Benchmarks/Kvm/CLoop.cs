using System;
using System.Runtime.InteropServices;
using Vmm.Benchmarks.Harness;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>exit_loop.c, compiled by the system's C compiler and called in this process.</summary>
internal sealed unsafe class CLoop : IDisposable
{
    private readonly CLibrary _library = new("Kvm", "exit_loop.c");
    private readonly uint* _registers = (uint*)NativeMemory.AllocZeroed(16, sizeof(uint));
    private readonly delegate* unmanaged<long> _threadTime;
    private readonly delegate* unmanaged<int, void*, long, uint*, long> _run;
    private readonly delegate* unmanaged<int, void*, long, uint*, uint*, long> _intervals;

    public CLoop()
    {
        _threadTime = (delegate* unmanaged<long>)_library["thread_time"];
        _run = (delegate* unmanaged<int, void*, long, uint*, long>)_library["exit_loop"];
        _intervals = (delegate* unmanaged<int, void*, long, uint*, uint*, long>)_library["exit_intervals"];
    }

    /// <summary>Nanoseconds that the calling thread has had a processor.</summary>
    public long ThreadTime => _threadTime();

    /// <summary>Serves a number of exits.</summary>
    public void Run(KvmVcpu vcpu, long exits)
    {
        Check(_run((int)vcpu.Descriptor.DangerousGetHandle(), vcpu.RunPage, exits, _registers));
    }

    /// <summary>Serves an exit for each element, and writes the nanoseconds between it and the one before down.</summary>
    public void Run(KvmVcpu vcpu, Span<uint> intervals)
    {
        fixed (uint* start = intervals)
        {
            Check(_intervals((int)vcpu.Descriptor.DangerousGetHandle(), vcpu.RunPage, intervals.Length, _registers, start));
        }
    }

    private static void Check(long result)
    {
        if (result != 0)
        {
            throw new InvalidOperationException(result > 0 ? $"KVM_RUN failed in C: errno {result}" : $"exit reason {-result} in C");
        }
    }

    public void Dispose()
    {
        NativeMemory.Free(_registers);
        _library.Dispose();
    }
}
