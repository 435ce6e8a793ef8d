using System;
using System.Collections.Generic;
using Vmm.Benchmarks.Harness;

namespace Vmm.Benchmarks.Virtio;

/// <summary>Rings from the device's side, per chain.</summary>
internal sealed class RingArea : IBenchmarkArea
{
    private const string Firecracker = "Firecracker";
    private const string WithMemory = "Firecracker + vm-memory";
    private const string RustVmm = "rust-vmm";

    private static readonly RingShape One = new(1);
    private static readonly RingShape Three = new(3);

    /// <inheritdoc/>
    public string Name => "ring";

    /// <inheritdoc/>
    public string Title => "Rings: pop, walk, complete, need-notify, per chain";

    /// <summary>
    /// The peer of "ring" does not look where a buffer lies, that of "same work" does, as its devices do; ours always does, so that both are the same
    /// operation of ours.
    /// </summary>
    public IEnumerable<BenchmarkRow> CreateRows()
    {
        RingShape oneEvent = One with { HasEventIndex = true };
        RingShape threeEvent = Three with { HasEventIndex = true };
        RingShape indirect = Three with { IsIndirect = true };
        RingShape indirectEvent = indirect with { HasEventIndex = true };
        yield return Drain("ring, 1 descriptor", One).Against(Firecracker, 3.9, 4.9);
        yield return Drain("ring, 1 descriptor, EVENT_IDX", oneEvent).Against(Firecracker, 9.2, 9.2);
        yield return Drain("ring, 3 descriptors", Three).Against(Firecracker, 6.8, 8.5);
        yield return Drain("ring, 3 descriptors, EVENT_IDX", threeEvent).Against(Firecracker, 10.5, 10.5);
        yield return Drain("same work, 1 descriptor", One).Against(WithMemory, 5.8, 5.2);
        yield return Drain("same work, 1 descriptor, EVENT_IDX", oneEvent).Against(WithMemory, 10.1, 9.6);
        yield return Drain("same work, 3 descriptors", Three).Against(WithMemory, 14.8, 10.4);
        yield return Drain("same work, 3 descriptors, EVENT_IDX", threeEvent).Against(WithMemory, 15.9, 12.7);
        yield return Drain("same work, 3 descriptors, 4 regions", Three with { Regions = 4 }).Against(WithMemory, 19.5, 11.7);
        yield return Drain("ring, 1 descriptor indirect", One with { IsIndirect = true });
        yield return Drain("ring, 3 descriptors indirect", indirect).Against(RustVmm, 85.7, 14);
        yield return Drain("ring, 3 descriptors indirect, EVENT_IDX", indirectEvent).Against(RustVmm, 90.2, 15.8);
        yield return Make("ring, 3 descriptors, EVENT_IDX, one question a round", threeEvent, static ring => ring.DrainNotifyingOnce);
        yield return Drain("packed ring, 1 descriptor", One with { IsPacked = true });
        yield return Drain("packed ring, 1 descriptor, EVENT_IDX", oneEvent with { IsPacked = true });
        yield return Drain("packed ring, 3 descriptors", Three with { IsPacked = true });
        yield return Drain("packed ring, 3 descriptors, EVENT_IDX", threeEvent with { IsPacked = true });
        yield return Drain("packed ring, 3 descriptors indirect", indirect with { IsPacked = true });
        yield return Drain("packed ring, 3 descriptors indirect, EVENT_IDX", indirectEvent with { IsPacked = true });
        yield return Read("null block read 512 B", 512).Against(Firecracker, 32.3, 29);
        yield return Read("null block read 4 KiB", 4096).Against(Firecracker, 62.6, 56.3);
        yield return Copy("of it the copy, 512 B", 512).Against("glibc", 5.8, 0);
        yield return Copy("of it the copy, 4 KiB", 4096).Against("glibc", 35, 0);
    }

    private static BenchmarkRow Drain(string name, RingShape shape) => Make(name, shape, static ring => ring.Drain);

    private static BenchmarkRow Copy(string name, int length) => Make(name, Three with { DataLength = length }, static ring => ring.CopyOnly);

    private static BenchmarkRow Read(string name, int length) => Make(name, Three with { DataLength = length }, static ring => ring.DrainReads);

    private static BenchmarkRow Make(string name, RingShape shape, Func<RingCase, Func<long>> block)
    {
        var ring = new RingCase(shape);
        return new BenchmarkRow(name, ring.Chains, block(ring));
    }
}
