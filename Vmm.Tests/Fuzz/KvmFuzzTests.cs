using System;
using System.Globalization;
using Vmm.Tests.Kvm;
using Xunit.Abstractions;

namespace Vmm.Tests.Fuzz;

/// <summary>A guest that does anything, on a machine of all our devices on /dev/kvm: real slots, doorbells, exits and vCPUs.</summary>
/// <remarks>As <see cref="InProcessFuzzTests"/>; build/fuzz --kvm runs it for longer.</remarks>
[Collection(FuzzCollection.Name)]
public sealed class KvmFuzzTests(ITestOutputHelper output)
{
    private TestMachine? _guest;

    [KvmTheory]
    [InlineData(20_261_127UL)]
    [InlineData(null)]
    [Trait("Behaviour", "KVM-1")]
    [Trait("Behaviour", "BUS-8")]
    [Trait("Behaviour", "VTP-14")]
    [Trait("Behaviour", "VTP-16")]
    public void Nothing_that_a_guest_does_stops_its_vCPUs_or_leaves_a_device_that_a_reset_does_not_mend(ulong? fixedSeed)
    {
        FuzzSettings settings = FuzzSettings.Read(operations: 100_000, seconds: 15);
        if (settings.Replay != null)
        {
            FuzzRun.Replay(settings.Replay, MakePlatform, MakeRunner).Should().BeNull();
            return;
        }

        ulong seed = settings.Seed ?? fixedSeed ?? (ulong)Random.Shared.NextInt64();
        var run = new FuzzRun(seed, segment: 2000, MakePlatform, MakeRunner);
        string? failure = run.Run(settings.Operations, settings.Limit);
        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {run.Counts}"));
        failure.Should().BeNull();
        run.Counts.Operations.Should().BePositive();
        run.Counts.Started.Should().BeGreaterThan(run.Counts.Operations / 1000, "devices are started");
        run.Counts.Requests.Should().BeGreaterThan(run.Counts.Operations / 400, "requests reach the back-ends");
        run.Counts.Completed.Should().BeGreaterThan(run.Counts.Operations / 1000, "chains are completed");
    }

    private FuzzPlatform MakePlatform(FuzzOptions options)
    {
        var errors = new FuzzErrors();
        TestMachine guest = new(options.Vcpus, loggerFactory: errors);
        _guest = guest;
        return FuzzPlatform.Over(guest.Memory, guest.Ports, options, static seams => seams, errors, guest.Dispose);
    }

    private IFuzzRunner MakeRunner(FuzzMachine machine) => new KvmRunner(machine, _guest!);
}
