using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Benchmarks.Harness;
using Vmm.DeviceModel.Bus;

namespace Vmm.Benchmarks.Bus;

/// <summary>Dispatch of memory-mapped accesses to 1, 32 and 1024 devices.</summary>
/// <remarks>Our bus passes values in registers where the peers' pass a byte slice: that much is less work.</remarks>
internal sealed class BusArea : IBenchmarkArea
{
    private const ulong FirstBase = 0xd000_0000;
    private const ulong DeviceLength = 0x1000;
    private const int Operations = 4096;
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

    /// <summary>A bus of equal devices, and the loops over it.</summary>
    private sealed class Dispatch
    {
        private readonly AddressSpace _space = new(new AddressSpaceOptions());
        private readonly int _count;
        private ulong _random = 1;

        public Dispatch(int count, Func<int, IRegionHandler> create)
        {
            _count = count;
            AddressSpaceTransaction transaction = _space.BeginTransaction();
            for (int i = 0; i < count; i++)
            {
                transaction.Add(new HandlerClaim($"device {i}", DeviceLength, create(i)), FirstBase + (DeviceLength * (ulong)i));
            }

            transaction.Commit();
            for (int i = 0; i < count; i++)
            {
                _space.Write(FirstBase + (DeviceLength * (ulong)i) + 0x10, 4, (ulong)i);
                if (_space.Read(FirstBase + (DeviceLength * (ulong)i) + 0x10, 4) != (ulong)i)
                {
                    throw new InvalidOperationException($"device {i} does not answer");
                }
            }
        }

        public void ReadHot() => ReadDevice(_count / 2);

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void ReadDevice(int device)
        {
            ulong address = FirstBase + (DeviceLength * (ulong)device) + 0x10;
            ulong sum = 0;
            for (int i = 0; i < Operations; i++)
            {
                sum ^= _space.Read(address, 4) + (ulong)i;
            }

            BlackBox.Sink ^= sum;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void WriteHot()
        {
            int device = _count / 2;
            ulong address = FirstBase + (DeviceLength * (ulong)device) + 0x10;
            for (int i = 0; i < Operations; i++)
            {
                _space.Write(address, 4, (ulong)device);
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void ReadRandom()
        {
            ulong mask = (ulong)_count - 1;
            ulong x = _random;
            ulong sum = 0;
            for (int i = 0; i < Operations; i++)
            {
                x = (x * 6364136223846793005) + 1442695040888963407;
                sum ^= _space.Read(FirstBase + (DeviceLength * ((x >> 33) & mask)) + 0x10, 4);
            }

            _random = x;
            BlackBox.Sink ^= sum;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void WriteRandom()
        {
            ulong mask = (ulong)_count - 1;
            ulong x = _random;
            for (int i = 0; i < Operations; i++)
            {
                x = (x * 6364136223846793005) + 1442695040888963407;
                ulong device = (x >> 33) & mask;
                _space.Write(FirstBase + (DeviceLength * device) + 0x10, 4, device);
            }

            _random = x;
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        public void ReadUnclaimed()
        {
            ulong sum = 0;
            for (int i = 0; i < Operations; i++)
            {
                sum ^= _space.Read(0x1000, 4) + (ulong)i;
            }

            BlackBox.Sink ^= sum;
        }
    }
}
