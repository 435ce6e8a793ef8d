namespace Vmm.Benchmarks.Harness;

/// <summary>What a case came to.</summary>
/// <param name="Row">The case.</param>
/// <param name="Minimum">Best sample, nanoseconds per operation.</param>
/// <param name="LowerQuartile">The sample that a quarter of them are not slower than: the figure that is told.</param>
/// <param name="Median">Median sample.</param>
/// <param name="AllocatedBytes">Bytes allocated by the measuring thread per operation.</param>
public sealed record Measurement(BenchmarkRow Row, double Minimum, double LowerQuartile, double Median, double AllocatedBytes);
