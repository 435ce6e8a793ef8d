using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Benchmarks.Bus;

namespace Vmm.Benchmarks.Harness;

/// <summary>Primitive operations whose cost on the peers' machine is known: how this machine compares, in this run.</summary>
/// <remarks>
/// The factor is the geometric mean of ours over theirs for the atomic add, the store with a fence, and the virtual call into the device body. The
/// lock is shown but left out: a monitor in .NET is another thing than a mutex in Rust. So is the arithmetic, of which there is no figure of
/// theirs: it fills the units of a core, and so shows a neighbour on the same core, which the others do not, since they wait more than they work.
/// </remarks>
public sealed class Calibration : IBenchmarkArea
{
    private const int Operations = 4096;
    private const string Reference = "reference machine";
    private readonly Lock _lock = new();
    private readonly MixedDevices.Body[] _devices = new MixedDevices.Body[8];
    private long _counter;
    private int _block;

    /// <summary>Makes the devices.</summary>
    public Calibration()
    {
        for (int i = 0; i < _devices.Length; i++)
        {
            _devices[i] = MixedDevices.Create(i);
        }
    }

    /// <inheritdoc/>
    public string Name => "calibration";

    /// <inheritdoc/>
    public string Title => "Calibration: primitives on this machine and on the one of the peers' figures";

    /// <inheritdoc/>
    public IEnumerable<BenchmarkRow> CreateRows()
    {
        yield return BenchmarkRow.Of("atomic add, uncontended", Operations, AtomicAdd).Against(Reference, 5.9, 0);
        yield return BenchmarkRow.Of("store and full fence", Operations, StoreAndFence).Against(Reference, 5.8, 0);
        yield return BenchmarkRow.Of("lock and unlock, uncontended", Operations, LockAndUnlock).Against(Reference, 11.9, 0);
        yield return BenchmarkRow.Of("virtual call into the device body, 4-byte read", Operations, VirtualCall).Against(Reference, 1.4, 0);
        yield return ArithmeticRow;
    }

    /// <summary>Eight sums that do not wait for each other.</summary>
    public BenchmarkRow ArithmeticRow => BenchmarkRow.Of("arithmetic, bound by throughput", Operations, AddAndShift);

    /// <summary>The measurement of that row.</summary>
    public static Measurement Arithmetic(IReadOnlyList<Measurement> measurements)
    {
        ArgumentNullException.ThrowIfNull(measurements);
        return measurements[4];
    }

    /// <summary>How much slower than the peers' machine this one is.</summary>
    public static double Factor(IReadOnlyList<Measurement> measurements)
    {
        ArgumentNullException.ThrowIfNull(measurements);
        double logarithm = 0;
        int[] counted = [0, 1, 3];
        foreach (int index in counted)
        {
            logarithm += Math.Log(measurements[index].LowerQuartile / measurements[index].Row.PeerNanoseconds);
        }

        return Math.Exp(logarithm / counted.Length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AtomicAdd()
    {
        for (int i = 0; i < Operations; i++)
        {
            Interlocked.Increment(ref _counter);
        }

        BlackBox.Sink ^= (ulong)_counter;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void StoreAndFence()
    {
        for (int i = 0; i < Operations; i++)
        {
            Volatile.Write(ref _counter, i);
            Interlocked.MemoryBarrier();
        }

        BlackBox.Sink ^= (ulong)_counter;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void LockAndUnlock()
    {
        for (int i = 0; i < Operations; i++)
        {
            lock (_lock)
            {
                _counter++;
            }
        }

        BlackBox.Sink ^= (ulong)_counter;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void VirtualCall()
    {
        ulong sum = 0;

        // Another type in every block, so that the call stays a call instead of becoming a guess that is inlined.
        MixedDevices.Body device = _devices[_block++ & 7];
        for (int i = 0; i < Operations; i++)
        {
            sum ^= device.Read(0x10, 4);
        }

        BlackBox.Sink ^= sum;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void AddAndShift()
    {
        ulong a = (ulong)_counter, b = 1, c = 2, d = 3, e = 4, f = 5, g = 6, h = 7;
        for (ulong i = 0; i < Operations; i++)
        {
            a += i ^ 0x55;
            b ^= i + 0x33;
            c += i >> 1;
            d ^= i << 1;
            e -= i | 1;
            f ^= i & 0xff;
            g += i ^ 0xaa;
            h ^= i - 1;
        }

        BlackBox.Sink ^= a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
    }
}
