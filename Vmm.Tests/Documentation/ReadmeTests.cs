using System;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Vmm.Tests.Documentation;

/// <summary>The README says what is so: its example is short (<see cref="ReadmeExample"/> runs it), its links and scripts exist.</summary>
public sealed partial class ReadmeTests
{
    private static readonly string Readme = File.ReadAllText(Repository.PathOf("README.md"));

    [Fact]
    public void The_example_is_short()
    {
        string example = Between(Readme, "```csharp\n", "```");
        example.Split('\n').Length.Should().BeInRange(5, 24);
    }

    [Fact]
    public void Every_file_it_names_exists()
    {
        var named = LinkPattern().Matches(Readme).Select(m => m.Groups[1].Value)
            .Concat(ScriptPattern().Matches(Readme).Select(m => m.Groups[1].Value))
            .Where(path => !path.StartsWith("http", StringComparison.Ordinal))
            .Distinct()
            .ToList();

        named.Should().NotBeEmpty();
        named.Where(path => !File.Exists(Repository.PathOf(path)) && !Directory.Exists(Repository.PathOf(path))).Should().BeEmpty();
    }

    private static string Between(string text, string start, string end)
    {
        int from = text.IndexOf(start, StringComparison.Ordinal) + start.Length;
        return text[from..text.IndexOf(end, from, StringComparison.Ordinal)];
    }

    [GeneratedRegex(@"\]\(([^)#]+)\)")]
    private static partial Regex LinkPattern();

    [GeneratedRegex(@"\./(build/[a-z/-]+)")]
    private static partial Regex ScriptPattern();
}
