using System;
using System.Globalization;
using Xunit.Abstractions;

namespace Vmm.Tests.Fuzz;

/// <summary>A driver that does anything, on a machine of all our devices without a hypervisor.</summary>
/// <remarks>
/// What is done follows from the seed; when workers and two vCPUs come to do it does not. build/fuzz runs this for longer, with a seed of
/// choice, or with the operations of a file.
/// </remarks>
[Collection(FuzzCollection.Name)]
[Trait("Category", "Long")]
public sealed class InProcessFuzzTests(ITestOutputHelper output)
{
    [Theory]
    [InlineData(20_261_127UL)]
    [InlineData(null)]
    [Trait("Behaviour", "BUS-8")]
    [Trait("Behaviour", "PCI-1")]
    [Trait("Behaviour", "PCI-5")]
    [Trait("Behaviour", "VTP-7")]
    [Trait("Behaviour", "VTP-16")]
    [Trait("Behaviour", "VQ-2")]
    [Trait("Behaviour", "VQ-3")]
    [Trait("Behaviour", "MEM-4")]
    public void Nothing_that_a_guest_does_throws_hangs_leaks_or_leaves_a_device_that_a_reset_does_not_mend(ulong? fixedSeed)
    {
        var settings = FuzzSettings.Read(operations: 1_000_000, seconds: 25);
        if (settings.Replay is not null)
        {
            FuzzRun.Replay(settings.Replay).Should().BeNull();
            return;
        }

        ulong seed = settings.Seed ?? fixedSeed ?? (ulong)Random.Shared.NextInt64();
        var run = new FuzzRun(seed);
        string? failure = run.Run(settings.Operations, settings.Limit);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {run.Counts}"));
        failure.Should().BeNull();

        // Without these the driver would have done nothing worth surviving.
        run.Counts.Operations.Should().BePositive();
        run.Counts.Started.Should().BeGreaterThan(run.Counts.Operations / 1000, "devices are started");
        run.Counts.NeedsReset.Should().BeGreaterThan(run.Counts.Operations / 4000, "rings break");
        run.Counts.Requests.Should().BeGreaterThan(run.Counts.Operations / 400, "requests reach the back-ends");
        run.Counts.Completed.Should().BeGreaterThan(run.Counts.Operations / 1000, "chains are completed");
        run.Counts.Messages.Should().BeGreaterThan(run.Counts.Operations / 1000, "interrupts are sent");
        run.Counts.Mistakes.Should().OnlyContain(count => count > 0 || run.Counts.Operations < 100_000, "every mistake that is counted is made");
    }
}
