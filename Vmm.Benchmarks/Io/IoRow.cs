using System.Globalization;

namespace Vmm.Benchmarks.Io;

/// <summary>One kind of file at one depth.</summary>
/// <param name="File">tmpfs, cached or direct.</param>
/// <param name="Depth">Reads under way at once.</param>
/// <param name="Ours">The device.</param>
/// <param name="Ring">A C loop of io_uring at this depth.</param>
/// <param name="Each">A C loop of preadv, one at a time.</param>
internal sealed record IoRow(string File, int Depth, IoSample Ours, IoSample Ring, IoSample Each)
{
    public const string Title =
        "file     depth |  ours IOPS  ns/request  worker ns  interrupts |  C io_uring IOPS  cpu ns  ours/C |  C preadv IOPS  cpu ns  ours/C";

    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture,
        $"{File,-8} {Depth,5} | {Ours.RequestsPerSecond,10:F0} {1e9 / Ours.RequestsPerSecond,11:F0} {Ours.Processor,10:F0} {Ours.Interrupts,11:F3} | "
            + $"{Ring.RequestsPerSecond,16:F0} {Ring.Processor,7:F0} {Ours.RequestsPerSecond / Ring.RequestsPerSecond,7:F2} | "
            + $"{Each.RequestsPerSecond,14:F0} {Each.Processor,7:F0} {Ours.RequestsPerSecond / Each.RequestsPerSecond,7:F2}");
}
