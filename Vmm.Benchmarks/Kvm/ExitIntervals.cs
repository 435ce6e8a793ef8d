using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.Linq;
using System.Threading;
using Vmm.Kvm;

namespace Vmm.Benchmarks.Kvm;

/// <summary>
/// <c>exits [COUNT]</c>: how the times between two exits are spread, for our run loop and for a bare C loop, in turn; then for ours while another
/// thread of the process allocates 100 MB a second, so that the collector runs.
/// </summary>
internal static class ExitIntervals
{
    private const int Exits = 100_000;
    private const int BytesPerSecond = 100_000_000;

    public static int Run(int millions)
    {
        using var c = new CLoop();
        using var device = new IntervalDevice();
        using var ours = new ExitGuest(device);
        using var bare = new ExitGuest(new Bus.BenchmarkDevice());
        using var loop = new VcpuRunLoop(ours.Vcpu, ours.Memory, ours.Ports);
        device.Loop = loop;
        loop.RequestPause();
        loop.Start();
        loop.WaitUntilPaused();
        uint[] block = new uint[Exits];
        int blocks = millions * (1_000_000 / Exits);
        var theirs = new List<uint>(blocks * Exits);
        var idle = new List<uint>(blocks * Exits);
        var busy = new List<uint>(blocks * Exits);
        long allocated = 0;

        void Ours(List<uint>? into)
        {
            device.Begin(block);
            loop.Resume();
            device.Done.WaitOne();
            loop.WaitUntilPaused();
            allocated += into is null ? 0 : device.Allocated.Last - device.Allocated.First;
            into?.AddRange(block);
        }

        c.Run(bare.Vcpu, block);
        Ours(null);
        for (int i = 0; i < blocks; i++)
        {
            c.Run(bare.Vcpu, block);
            theirs.AddRange(block);
            Ours(idle);
            Console.Error.Write($"\r{i + 1} of {blocks} ");
        }

        int collections = GC.CollectionCount(0);
        using (new Allocator())
        {
            for (int i = 0; i < blocks; i++)
            {
                Ours(busy);
            }
        }

        collections = GC.CollectionCount(0) - collections;
        Console.Error.WriteLine();
        Console.WriteLine($"{"ns between two exits",-44} {"p50",8} {"p99",8} {"p99.9",8} {"p99.99",8} {"max",10}");
        double[] peer = Print("C loop", theirs);
        double[] own = Print("run loop, bus and device", idle);
        Print($"the same, 100 MB/s allocated, {collections} collections", busy, own);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"run loop / C loop: p50 {own[0] / peer[0]:F3}, p99 {own[1] / peer[1]:F3}; "
            + $"allocated by the vCPU's thread in {2L * blocks * Exits} exits: {allocated} bytes"));
        return 0;
    }

    private static double[] Print(string name, List<uint> intervals, double[]? idle = null)
    {
        intervals.Sort();
        double[] parts = [0.5, 0.99, 0.999, 0.9999, 1];
        double[] values = [.. parts.Select(part => (double)intervals[(int)Math.Min(intervals.Count - 1, part * intervals.Count)])];
        string ratio = idle is null ? "" : string.Create(CultureInfo.InvariantCulture, $"   p99.9 {values[2] / idle[2]:F2} of the idle one's");
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{name,-44} {values[0],8} {values[1],8} {values[2],8} {values[3],8} {values[4],10}{ratio}"));
        return values;
    }

    /// <summary>A thread that allocates small objects, some of which live for a while.</summary>
    private sealed class Allocator : IDisposable
    {
        private readonly Thread _thread;
        private volatile bool _stop;

        public Allocator()
        {
            _thread = new Thread(Allocate) { Name = "allocator" };
            _thread.Start();
        }

        public void Dispose()
        {
            _stop = true;
            _thread.Join();
        }

        private void Allocate()
        {
            const int Size = 200;
            byte[][] kept = new byte[10_000][];
            long made = 0;
            long start = Stopwatch.GetTimestamp();
            while (!_stop)
            {
                for (int i = 0; i < 1000; i++)
                {
                    kept[made++ % kept.Length] = new byte[Size];
                }

                while (!_stop && made * Size > BytesPerSecond * Stopwatch.GetElapsedTime(start).TotalSeconds)
                {
                    Thread.Sleep(1);
                }
            }
        }
    }
}
