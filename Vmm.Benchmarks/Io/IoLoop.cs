using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Interop;

namespace Vmm.Benchmarks.Io;

/// <summary>io_loop.c, compiled by the system's C compiler and called in this process.</summary>
internal sealed unsafe class IoLoop : IDisposable
{
    private readonly nint _library;
    private readonly delegate* unmanaged<int, ulong, long, long*, long*, long> _pread;
    private readonly delegate* unmanaged<int, ulong, int, long, long*, long*, long> _ring;

    public IoLoop()
    {
        string library = Path.Combine(Path.GetTempPath(), $"vmm-io-loop-{Environment.ProcessId}.so");
        using (var compiler = Process.Start("/usr/bin/gcc", ["-O2", "-shared", "-fPIC", "-o", library, FindSource()]))
        {
            compiler.WaitForExit();
            if (compiler.ExitCode != 0)
            {
                throw new InvalidOperationException("gcc does not compile io_loop.c");
            }
        }

        _library = NativeLibrary.Load(library);
        File.Delete(library);
        _pread = (delegate* unmanaged<int, ulong, long, long*, long*, long>)NativeLibrary.GetExport(_library, "pread_loop");
        _ring = (delegate* unmanaged<int, ulong, int, long, long*, long*, long>)NativeLibrary.GetExport(_library, "uring_loop");
    }

    /// <summary>One read after the other by preadv.</summary>
    public IoSample ReadEach(FileDescriptor file, long blocks, TimeSpan time)
    {
        long elapsed = 0;
        long processor = 0;
        long done = _pread(file.Number, (ulong)blocks, (long)time.TotalNanoseconds, &elapsed, &processor);
        return Sample("preadv", done, elapsed, processor);
    }

    /// <summary>So many reads at once by io_uring.</summary>
    public IoSample ReadByRing(FileDescriptor file, long blocks, int depth, TimeSpan time)
    {
        long elapsed = 0;
        long processor = 0;
        long done = _ring(file.Number, (ulong)blocks, depth, (long)time.TotalNanoseconds, &elapsed, &processor);
        return Sample("io_uring", done, elapsed, processor);
    }

    public void Dispose() => NativeLibrary.Free(_library);

    private static IoSample Sample(string step, long done, long elapsed, long processor) => done > 0
        ? new IoSample(done * 1e9 / elapsed, (double)processor / done, 0)
        : throw new InvalidOperationException($"{step} in C failed: errno {-done}");

    private static string FindSource()
    {
        for (var folder = new DirectoryInfo(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string source = Path.Combine(folder.FullName, "Vmm.Benchmarks", "Io", "io_loop.c");
            if (File.Exists(source))
            {
                return source;
            }
        }

        throw new InvalidOperationException("io_loop.c was not found above the program");
    }
}
