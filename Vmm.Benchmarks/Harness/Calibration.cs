using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.Benchmarks.Bus;

namespace Vmm.Benchmarks.Harness;

/// <summary>Primitive operations whose cost on the peers' machine is known: how this machine compares, in this run.</summary>
/// <remarks>
/// The factor is the geometric mean of ours over theirs for the atomic add, the store with a fence, and the virtual call into the device body. The
/// lock is shown but left out: a monitor in .NET is another thing than a mutex in Rust.
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
        yield return BenchmarkRow.Of("atomic add, uncontended", Operations, AtomicAdd).Against(Reference, 4.9, 0);
        yield return BenchmarkRow.Of("store and full fence", Operations, StoreAndFence).Against(Reference, 5.1, 0);
        yield return BenchmarkRow.Of("lock and unlock, uncontended", Operations, LockAndUnlock).Against(Reference, 9.8, 0);
        yield return BenchmarkRow.Of("virtual call into the device body, 4-byte read", Operations, VirtualCall).Against(Reference, 1.7, 0);
    }

    /// <summary>How much slower than the peers' machine this one is.</summary>
    public static double Factor(IReadOnlyList<Measurement> measurements)
    {
        ArgumentNullException.ThrowIfNull(measurements);
        double logarithm = 0;
        int[] counted = [0, 1, 3];
        foreach (int index in counted)
        {
            logarithm += Math.Log(measurements[index].Median / measurements[index].Row.PeerNanoseconds);
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
}
