using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.Fuzz;

/// <summary>The random driver finds what it is there for, says how to do it again, and makes it short.</summary>
[Collection(FuzzCollection.Name)]
[Trait("Category", "Long")]
public sealed class FuzzSelfTests
{
    private const ulong Trap = 0xd000_0000;

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public void A_handler_that_throws_is_found_and_reduced_to_the_access()
    {
        var operations = new List<FuzzOperation>();
        var options = FuzzOptions.Of(7, 0);
        using (var machine = new FuzzMachine(options, FuzzPlatform.InProcess(options)))
        {
            new FuzzGenerator(machine).Generate(operations, 300);
        }

        operations.Insert(150, new FuzzOperation(FuzzAction.MemoryWrite, 0, 0, 0, 4, Trap, 1));
        var run = new FuzzRun(7, platform: Trapped) { ShrinkLimit = TimeSpan.FromSeconds(60) };
        string report = run.Try(options, operations)!;

        report.Should().Contain("seed 7").And.Contain("the trap was sprung").And.Contain("these 1 operations");
        string file = report.Split("--replay ")[1].Trim();
        try
        {
            FuzzRun.Replay(file, Trapped).Should().Contain("the trap was sprung");
            FuzzRun.Replay(file).Should().BeNull("without the trap nothing is wrong with it");
        }
        finally
        {
            File.Delete(file);
        }
    }

    [Fact]
    public void A_list_is_reduced_to_what_it_needs_to_fail()
    {
        FuzzOperation[] operations = [.. Enumerable.Range(0, 1000)
            .Select(static i => new FuzzOperation(FuzzAction.RamWrite, 0, 0, 0, 1, (ulong)i, 0))];
        (IReadOnlyList<FuzzOperation> shortest, bool reproduced) = FuzzShrinker.Shrink(
            operations, static list => list.Any(o => o.Address == 123) && list.Any(o => o.Address == 877), TimeSpan.FromMinutes(1));
        reproduced.Should().BeTrue();
        shortest.Select(static o => o.Address).Should().Equal(123, 877);
    }

    [Fact]
    public void Operations_are_read_as_they_are_written()
    {
        var random = new Random(3);
        foreach (FuzzAction action in Enum.GetValues<FuzzAction>())
        {
            var operation = new FuzzOperation(action, 1, 2, 3, (byte)random.Next(1, 9), (ulong)random.NextInt64(), ulong.MaxValue);
            FuzzOperation.Parse(operation.ToString()).Should().Be(operation);
        }
    }

    [Fact]
    public void A_seed_gives_the_same_operations_again()
    {
        Draw(11).Should().Equal(Draw(11)).And.NotEqual(Draw(12));

        static List<FuzzOperation> Draw(ulong seed)
        {
            var operations = new List<FuzzOperation>();
            var options = FuzzOptions.Of(seed, 0);
            using var machine = new FuzzMachine(options, FuzzPlatform.InProcess(options));
            new FuzzGenerator(machine).Generate(operations, 2000);
            return operations;
        }
    }

    [Fact]
    public unsafe void A_write_outside_of_ram_is_seen()
    {
        var options = FuzzOptions.Of(5, 0);
        options.Guard.Should().Be(GuardKind.Pattern);
        using var machine = new FuzzMachine(options, FuzzPlatform.InProcess(options));
        machine.Ram.Check();
        machine.Ram.Damage.Should().BeNull();
        using (machine.Ram.Guest.Domain.Enter())
        {
            machine.Ram.Guest.Current.GetContiguous(FuzzRam.Layout[1].Address + FuzzRam.Layout[1].Length - 1, 1, out byte* last);
            last[1] ^= 1;
        }

        machine.Ram.Check();
        machine.Ram.Damage.Should().Be("host memory 0 bytes behind RAM region 1 was written");
    }

    private static FuzzPlatform Trapped(FuzzOptions options)
    {
        var platform = FuzzPlatform.InProcess(options);
        platform.Memory.Add(
            new HandlerClaim(
                "trap", 0x1000,
                new DelegateHandler(static (_, _) => 0, static (_, _, _) => throw new InvalidOperationException("the trap was sprung")),
                priority: 300),
            Trap);
        return platform;
    }
}
