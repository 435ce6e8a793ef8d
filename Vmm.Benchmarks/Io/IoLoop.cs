using System;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Interop;

namespace Vmm.Benchmarks.Io;

/// <summary>io_loop.c, compiled by the system's C compiler and called in this process.</summary>
internal sealed unsafe class IoLoop : IDisposable
{
    private readonly CLibrary _library = new("Io", "io_loop.c");
    private readonly delegate* unmanaged<int, ulong, long, long*, long*, long> _pread;
    private readonly delegate* unmanaged<int, ulong, int, long, long*, long*, long> _ring;

    public IoLoop()
    {
        _pread = (delegate* unmanaged<int, ulong, long, long*, long*, long>)_library["pread_loop"];
        _ring = (delegate* unmanaged<int, ulong, int, long, long*, long*, long>)_library["uring_loop"];
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

    public void Dispose() => _library.Dispose();

    private static IoSample Sample(string step, long done, long elapsed, long processor) => done > 0
        ? new IoSample(done * 1e9 / elapsed, (double)processor / done, 0)
        : throw new InvalidOperationException($"{step} in C failed: errno {-done}");
}
