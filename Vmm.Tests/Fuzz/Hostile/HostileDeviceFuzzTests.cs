using System;
using System.Globalization;
using Xunit.Abstractions;

namespace Vmm.Tests.Fuzz.Hostile;

/// <summary>The user-space drivers on devices that lie in every register, in the rings, and about what they have done.</summary>
/// <remarks>As <see cref="InProcessFuzzTests"/>, from the other side; build/fuzz --driver runs it for longer.</remarks>
[Collection(FuzzCollection.Name)]
[Trait("Category", "Long")]
public sealed class HostileDeviceFuzzTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(20_261_127UL)]
    [InlineData(null)]
    [Trait("Behaviour", "DRV-1")]
    [Trait("Behaviour", "DRV-2")]
    [Trait("Behaviour", "DRV-3")]
    [Trait("Behaviour", "DRV-5")]
    [Trait("Behaviour", "DRV-7")]
    public void Whatever_a_device_answers_ends_in_a_typed_error_or_a_result(ulong? fixedSeed)
    {
        var settings = FuzzSettings.Read(operations: 30_000, seconds: 6);
        if (settings.Replay is not null)
        {
            HostileRun.Replay(settings.Replay).Should().BeNull();
            return;
        }

        ulong seed = settings.Seed ?? fixedSeed ?? (ulong)Random.Shared.NextInt64();
        var run = new HostileRun(seed);
        string? failure = run.Run(settings.Operations, settings.Limit);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {run.Counts}"));
        failure.Should().BeNull();

        // Without these no driver would have come to where a lie matters.
        long devices = run.Counts.Devices;
        run.Counts.Started.Should().BeGreaterThan(devices / 10, "devices are started");
        run.Counts.Submitted.Should().BeGreaterThan(devices, "requests are made");
        run.Counts.Completed.Should().BeGreaterThan(devices / 2, "requests are completed");
        if (devices > 200)
        {
            run.Counts.Refusals.Keys.Should().Contain(["discovery", "reset", "features", "FEATURES_OK", "queues", "completion"]);
        }
    }
}
