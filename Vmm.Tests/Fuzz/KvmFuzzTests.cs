using System;
using System.Globalization;
using Vmm.Tests.Kvm;
using Xunit.Abstractions;

namespace Vmm.Tests.Fuzz;

/// <summary>A guest that does anything, on a machine of all our devices on /dev/kvm: real slots, doorbells, exits and vCPUs.</summary>
/// <remarks>As <see cref="InProcessFuzzTests"/>; build/fuzz --kvm runs it for longer.</remarks>
[Collection(FuzzCollection.Name)]
[Trait("Category", "Long")]
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
        var settings = FuzzSettings.Read(
            operations: KvmAvailability.Rounds(100_000, 10_000), seconds: (int)KvmAvailability.Patience(15).TotalSeconds);
        if (settings.Replay is not null)
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

    [KvmFact]
    public void An_access_whose_place_has_moved_onto_the_loop_that_the_guest_runs_is_left_out()
    {
        // What the second one aims at is beyond a guest's reach when the list is read, and at 0x3000 when it is its turn.
        FuzzOperation[] operations =
        [
            FuzzOperation.Parse("ConfigWrite vcpu0 function3 bar0 width8 0x10 0x8f"),
            FuzzOperation.Parse("BarWrite vcpu1 function3 bar0 width2 0x3000 0x0"),
            FuzzOperation.Parse("MemoryRead vcpu1 function5 bar0 width1 0x801fc1 0x437d10736b9552f2"),
        ];
        var run = new FuzzRun(1, platform: MakePlatform, runner: MakeRunner);
        run.Try(new FuzzOptions(15_991_576_638_437_568_084, 2, GuardKind.NoAccess), operations).Should().BeNull();
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
