using System.Collections.Generic;

namespace Vmm.Benchmarks.Harness;

/// <summary>A group of cases that is named on the command line.</summary>
public interface IBenchmarkArea
{
    /// <summary>The word on the command line.</summary>
    string Name { get; }

    /// <summary>Heads the table.</summary>
    string Title { get; }

    /// <summary>Makes the cases; each is set up when it is reached.</summary>
    IEnumerable<BenchmarkRow> CreateRows();
}
