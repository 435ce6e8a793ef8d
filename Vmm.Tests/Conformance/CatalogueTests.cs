using System.IO;
using System.Linq;
using System.Text;
using System.Text.RegularExpressions;
using Vmm.Conformance;

namespace Vmm.Tests.Conformance;

/// <summary>The catalogue is well formed, and docs/conformance.md lists it; run with VMMDEVICES_UPDATE_DOCS=1 to list it anew.</summary>
public sealed partial class CatalogueTests
{
    [Fact]
    public void Ids_are_unique_and_well_formed()
    {
        CheckCatalogue.All.Select(check => check.Id).Should().OnlyHaveUniqueItems().And.OnlyContain(id => IdPattern().IsMatch(id));
    }

    [Fact]
    public void Every_check_says_what_it_asks_and_where_that_stands()
    {
        CheckCatalogue.All.Should().OnlyContain(
            check => check.Requirement.Length > 10 && !check.Requirement.EndsWith('.') && check.Section.Contains(' '));
        CheckCatalogue.All.Should().HaveCountGreaterThanOrEqualTo(120);
    }

    [Fact]
    public void The_documentation_lists_the_checks_as_they_are()
    {
        const string Start = "<!-- checks -->\n";
        string path = Repository.PathOf("docs/conformance.md");
        string text = File.ReadAllText(path);
        string listed = text[..(text.IndexOf(Start, System.StringComparison.Ordinal) + Start.Length)] + List();
        if (System.Environment.GetEnvironmentVariable("VMMDEVICES_UPDATE_DOCS") == "1")
        {
            File.WriteAllText(path, listed);
            text = listed;
        }

        text.Should().Be(listed, "the list is printed by this test (VMMDEVICES_UPDATE_DOCS=1)");
    }

    private static string List()
    {
        var list = new StringBuilder();
        foreach (CheckGroup group in CheckCatalogue.Groups)
        {
            list.Append('\n').Append("### ").Append(group.Title).Append("\n\n| id | section | requirement |\n|---|---|---|\n");
            foreach (Check check in group)
            {
                string advice = check.Severity == CheckSeverity.Recommendation ? " (recommended)" : "";
                list.Append("| `").Append(check.Id).Append("` | ").Append(check.Section).Append(" | ").Append(check.Requirement).Append(advice)
                    .Append(" |\n");
            }
        }

        return list.ToString();
    }

    [GeneratedRegex("^[A-Z]+(-[A-Z]+)+$")]
    private static partial Regex IdPattern();
}
