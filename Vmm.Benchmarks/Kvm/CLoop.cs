using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>exit_loop.c, compiled by the system's C compiler and called in this process.</summary>
internal sealed unsafe class CLoop : IDisposable
{
    private readonly nint _library;
    private readonly uint* _registers = (uint*)NativeMemory.AllocZeroed(16, sizeof(uint));
    private readonly delegate* unmanaged<long> _threadTime;
    private readonly delegate* unmanaged<int, void*, long, uint*, long> _run;
    private readonly delegate* unmanaged<int, void*, long, uint*, uint*, long> _intervals;

    /// <summary>True if the compiler is there.</summary>
    public static bool HasCompiler => File.Exists("/usr/bin/gcc");

    public CLoop()
    {
        string source = FindSource();
        string library = Path.Combine(Path.GetTempPath(), $"vmm-exit-loop-{Environment.ProcessId}.so");
        using (var compiler = Process.Start("/usr/bin/gcc", ["-O2", "-shared", "-fPIC", "-o", library, source]))
        {
            compiler.WaitForExit();
            if (compiler.ExitCode != 0)
            {
                throw new InvalidOperationException("gcc does not compile exit_loop.c");
            }
        }

        _library = NativeLibrary.Load(library);
        File.Delete(library);
        _threadTime = (delegate* unmanaged<long>)NativeLibrary.GetExport(_library, "thread_time");
        _run = (delegate* unmanaged<int, void*, long, uint*, long>)NativeLibrary.GetExport(_library, "exit_loop");
        _intervals = (delegate* unmanaged<int, void*, long, uint*, uint*, long>)NativeLibrary.GetExport(_library, "exit_intervals");
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
        NativeLibrary.Free(_library);
    }

    private static string FindSource()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string source = Path.Combine(folder.FullName, "Vmm.Benchmarks", "Kvm", "exit_loop.c");
            if (File.Exists(source))
            {
                return source;
            }
        }

        throw new InvalidOperationException("exit_loop.c was not found above the program");
    }
}
