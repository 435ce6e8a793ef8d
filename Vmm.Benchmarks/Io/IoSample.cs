namespace Vmm.Benchmarks.Io;

/// <summary>The figures of one measurement.</summary>
/// <param name="RequestsPerSecond">Reads that ended, in a second.</param>
/// <param name="Processor">Nanoseconds of processor that the reading thread had, a request.</param>
/// <param name="Interrupts">Interrupts a request.</param>
internal readonly record struct IoSample(double RequestsPerSecond, double Processor, double Interrupts);
