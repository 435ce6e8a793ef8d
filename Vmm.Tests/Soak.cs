using System;

namespace Vmm.Tests;

/// <summary>VMM_SOAK=1 makes those tests long that show more the longer they run, and runs what takes more time than every run can have.</summary>
internal static class Soak
{
    /// <summary>Whether it is set.</summary>
    public static bool On { get; } = Environment.GetEnvironmentVariable("VMM_SOAK") is { Length: > 0 };
}
