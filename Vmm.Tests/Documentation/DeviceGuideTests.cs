using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Vmm.Tests.Documentation;

/// <summary>The code in docs/devices.md is that of the samples, which are built and tested; hooks that it names exist.</summary>
[Trait("Behaviour", "CON-7")]
public sealed partial class DeviceGuideTests
{
    private const string Gap = "// ...";

    private static readonly string Guide = File.ReadAllText(Repository.PathOf("docs/devices.md"));

    public static TheoryData<int> Blocks => [.. Enumerable.Range(0, BlockPattern().Count(Guide))];

    [Theory]
    [MemberData(nameof(Blocks))]
    public void A_block_is_an_excerpt_of_one_sample(int index)
    {
        string[] block = LinesOf(BlockPattern().Matches(Guide)[index].Groups[1].Value);
        string[] files = Directory.GetFiles(Repository.PathOf("samples"), "*.cs", SearchOption.AllDirectories);
        files.Where(file => IsExcerpt(block, LinesOf(File.ReadAllText(file)))).Should()
            .NotBeEmpty($"this is in none of the samples:\n{string.Join('\n', block)}");
    }

    [Fact]
    public void The_kind_in_the_account_of_the_machine_is_one_that_is_tested()
    {
        string machine = File.ReadAllText(Repository.PathOf("docs/machine.md"));
        string block = BlockPattern().Matches(machine).Select(static match => match.Groups[1].Value)
            .Single(static text => text.Contains("class EduKind", StringComparison.Ordinal));

        IsExcerpt(LinesOf(block), LinesOf(File.ReadAllText(Repository.PathOf("Vmm.Tests/Machine/EduKind.cs")))).Should().BeTrue();
    }

    [Fact]
    public void Members_that_the_table_names_exist()
    {
        Type[] types =
        [
            typeof(Vmm.Pci.PciFunction), typeof(Vmm.Virtio.Devices.WorkerDevice), typeof(Vmm.Virtio.Devices.RequestHandler),
            typeof(Vmm.Virtio.Devices.IVirtioDeviceHost), typeof(Vmm.DeviceModel.State.IComponent), typeof(Vmm.Pci.Bars.PciBarRegion),
            typeof(Vmm.DeviceModel.Epochs.AccessDomain), typeof(Vmm.Pci.Capabilities.MessageVector), typeof(Vmm.Pci.Interrupts.IntxPin),
            typeof(Vmm.DeviceModel.Events.Worker),
        ];
        HashSet<string> members =
        [
            .. types.SelectMany(static type => type.GetMembers(System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.Static
                | System.Reflection.BindingFlags.Public | System.Reflection.BindingFlags.NonPublic)).Select(static member => member.Name),
        ];
        string table = Guide[Guide.IndexOf("| hook |", StringComparison.Ordinal)..];
        string[] named =
        [
            .. table.Split('\n').Where(static line => line.StartsWith('|')).SelectMany(static line => NamePattern().Matches(line.Split('|')[1]))
                .Select(static match => match.Groups[1].Value.Split('.')[^1]).Where(static name => name is not ("IRegionHandler" or "WorkerDevice")),
        ];
        named.Should().HaveCountGreaterThan(25).And.BeSubsetOf(members);
    }

    /// <summary>Says whether the runs of lines between gaps stand in a file, one behind the other.</summary>
    private static bool IsExcerpt(string[] block, string[] file)
    {
        int from = 0;
        foreach (string[] run in Runs(block))
        {
            int at = Enumerable.Range(from, Math.Max(0, file.Length - from - run.Length + 1))
                .FirstOrDefault(i => file.AsSpan(i, run.Length).SequenceEqual(run), -1);
            if (at < 0)
            {
                return false;
            }

            from = at + run.Length;
        }

        return true;
    }

    private static IEnumerable<string[]> Runs(string[] block)
    {
        return string.Join('\n', block).Split(Gap).Select(static run => LinesOf(run)).Where(static run => run.Length != 0);
    }

    private static string[] LinesOf(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex BlockPattern();

    [GeneratedRegex("`([A-Za-z.]+)`")]
    private static partial Regex NamePattern();
}
