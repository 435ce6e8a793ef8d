namespace Vmm.Benchmarks.Harness;

/// <summary>What a case came to.</summary>
/// <param name="Row">The case.</param>
/// <param name="Minimum">Best sample, nanoseconds per operation.</param>
/// <param name="Median">Median sample.</param>
/// <param name="Maximum">Worst sample.</param>
/// <param name="AllocatedBytes">Bytes allocated by the measuring thread per operation.</param>
public sealed record Measurement(BenchmarkRow Row, double Minimum, double Median, double Maximum, double AllocatedBytes);
