using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Vmm.Benchmarks.Harness;

namespace Vmm.Benchmarks.Bus;

/// <summary>Dispatch of memory-mapped accesses to 1, 32 and 1024 devices.</summary>
/// <remarks>Our bus passes values in registers where the peers' pass a byte slice: that much is less work.</remarks>
internal sealed class BusArea : IBenchmarkArea
{
    private const int Operations = Dispatch.Operations;
    private const string IoManager = "rust-vmm IoManager";

    public string Name => "bus";

    public string Title => "Bus: a 4-byte access, devices without a lock unless said";

    public IEnumerable<BenchmarkRow> CreateRows()
    {
        Dispatch one = new(1, static _ => new BenchmarkDevice());
        yield return BenchmarkRow.Of("read, 1 range", Operations, one.ReadHot).Against(IoManager, 2.8, 0);
        yield return BenchmarkRow.Of("write, 1 range", Operations, one.WriteHot);
        Dispatch some = new(32, static _ => new BenchmarkDevice());
        yield return BenchmarkRow.Of("read, 32 ranges, the same one again", Operations, some.ReadHot).Against(IoManager, 6.1, 6.7);
        yield return BenchmarkRow.Of("read, 32 ranges, random", Operations, some.ReadRandom).Against(IoManager, 24.1, 12);
        yield return BenchmarkRow.Of("write, 32 ranges, random", Operations, some.WriteRandom);
        Dispatch many = new(1024, static _ => new BenchmarkDevice());
        yield return BenchmarkRow.Of("read, 1024 ranges, random", Operations, many.ReadRandom).Against(IoManager, 48.9, 25);
        Dispatch locked = new(32, static _ => new LockedBenchmarkDevice());
        yield return BenchmarkRow.Of("read, 32 ranges, random, device with a lock", Operations, locked.ReadRandom)
            .Against("rust-vmm with mutex", 27.4, 20);
        Dispatch mixed = new(32, MixedDevices.Create);
        yield return BenchmarkRow.Of("read, 32 ranges, random, 8 types of device", Operations, mixed.ReadRandom);
        yield return BenchmarkRow.Of("read, nobody there", Operations, some.ReadUnclaimed);
        yield return TwoThreads(some);
    }

    private static BenchmarkRow TwoThreads(Dispatch dispatch)
    {
        const int Blocks = 200;
        return new BenchmarkRow("read, two threads, each its own device (slower thread's)", Operations * Blocks, () =>
        {
            long slower = 0;
            using var together = new Barrier(2);
            void Run(int device)
            {
                dispatch.ReadDevice(device);
                together.SignalAndWait();
                long start = Stopwatch.GetTimestamp();
                for (int i = 0; i < Blocks; i++)
                {
                    dispatch.ReadDevice(device);
                }

                long ticks = Stopwatch.GetTimestamp() - start;
                lock (together)
                {
                    slower = Math.Max(slower, ticks);
                }
            }

            var other = new Thread(() => Run(5));
            other.Start();
            Run(20);
            other.Join();
            return slower;
        })
        {
            Threads = 2,
            Peer = "cloud-hypervisor",
            PeerNanoseconds = 74,
        };
    }
}
