using System.Diagnostics.CodeAnalysis;

namespace Vmm.Benchmarks.Harness;

/// <summary>Where blocks leave their results, so that no operation is dropped as unused. Printed at the end.</summary>
public static class BlackBox
{
    /// <summary>Fold results in with exclusive or.</summary>
    [SuppressMessage("Usage", "CA2211", Justification = "a field, so that the JIT cannot know what it holds")]
    public static ulong Sink;
}
