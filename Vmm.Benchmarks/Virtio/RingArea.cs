using System.Collections.Generic;
using Vmm.Benchmarks.Harness;

namespace Vmm.Benchmarks.Virtio;

/// <summary>The split ring from the device's side, per chain.</summary>
internal sealed class RingArea : IBenchmarkArea
{
    private const string Firecracker = "Firecracker";
    private const string RustVmm = "rust-vmm";

    /// <inheritdoc/>
    public string Name => "ring";

    /// <inheritdoc/>
    public string Title => "Split ring: pop, walk, complete, need-notify, per chain";

    /// <inheritdoc/>
    public IEnumerable<BenchmarkRow> CreateRows()
    {
        yield return Drain("1 descriptor", 1, false, false).Against(Firecracker, 5.6, 7);
        yield return Drain("1 descriptor, EVENT_IDX", 1, false, true).Against(Firecracker, 7.7, 9);
        yield return Drain("3 descriptors", 3, false, false).Against(Firecracker, 7.4, 9);
        yield return Drain("3 descriptors, EVENT_IDX", 3, false, true).Against(Firecracker, 9.2, 11);
        yield return Drain("3 descriptors indirect", 3, true, false).Against(RustVmm, 50, 20);
        yield return Drain("3 descriptors indirect, EVENT_IDX", 3, true, true).Against(RustVmm, 51, 22);
        yield return Drain("1 descriptor indirect", 1, true, false);
        yield return Drain("3 descriptors, 4 memory regions", 3, false, false, regions: 4).Against(RustVmm, 42, 9);
        var once = new RingCase(3, false, true);
        yield return new BenchmarkRow("3 descriptors, EVENT_IDX, need-notify once a round", once.Chains, once.DrainNotifyingOnce);
        yield return Read("null block read, 512 B", 512).Against(Firecracker, 24, 24);
        yield return Read("null block read, 4 KiB", 4096).Against(Firecracker, 49, 49);
        yield return Copy("of it the copy of 512 B", 512);
        yield return Copy("of it the copy of 4 KiB", 4096);
    }

    private static BenchmarkRow Drain(string name, int descriptors, bool indirect, bool eventIndex, int regions = 1)
    {
        var ring = new RingCase(descriptors, indirect, eventIndex, regions: regions);
        return new BenchmarkRow(name, ring.Chains, ring.Drain);
    }

    private static BenchmarkRow Copy(string name, int length)
    {
        var ring = new RingCase(3, false, false, length);
        return new BenchmarkRow(name, ring.Chains, ring.CopyOnly);
    }

    private static BenchmarkRow Read(string name, int length)
    {
        var ring = new RingCase(3, false, false, length);
        return new BenchmarkRow(name, ring.Chains, ring.DrainReads);
    }
}
