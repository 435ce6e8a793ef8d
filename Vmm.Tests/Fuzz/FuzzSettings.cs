using System;
using System.Globalization;

namespace Vmm.Tests.Fuzz;

/// <summary>How long the random drivers run: a while in a test run, and what build/fuzz asks for.</summary>
internal sealed record FuzzSettings(ulong? Seed, long Operations, TimeSpan? Limit, string? Replay)
{
    /// <summary>From the environment, which build/fuzz sets.</summary>
    /// <param name="operations">Operations in a test run.</param>
    /// <param name="seconds">Most seconds in a test run: it is a busy machine's share of them, or all.</param>
    public static FuzzSettings Read(long operations, int seconds)
    {
        string? wanted = Environment.GetEnvironmentVariable("VMM_FUZZ_OPERATIONS");
        string? minutes = Environment.GetEnvironmentVariable("VMM_FUZZ_MINUTES");
        string? seed = Environment.GetEnvironmentVariable("VMM_FUZZ_SEED");
        string? replay = Environment.GetEnvironmentVariable("VMM_FUZZ_REPLAY");
        bool asked = wanted is not null || minutes is not null;
        return new FuzzSettings(
            seed is null ? null : ulong.Parse(seed, CultureInfo.InvariantCulture),
            wanted is not null ? long.Parse(wanted, CultureInfo.InvariantCulture) : asked ? long.MaxValue : operations,
            minutes is not null ? TimeSpan.FromMinutes(double.Parse(minutes, CultureInfo.InvariantCulture))
                : asked ? null
                : TimeSpan.FromSeconds(seconds),
            replay);
    }
}
