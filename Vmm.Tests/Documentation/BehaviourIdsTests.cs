using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Text.RegularExpressions;

namespace Vmm.Tests.Documentation;

/// <summary>Holds docs/behaviour.md and the tests' ids against each other.</summary>
public sealed partial class BehaviourIdsTests
{
    [Fact]
    public void Every_listed_behaviour_has_a_test_that_names_it()
    {
        HashSet<string> tested = TestedIds();

        ListedIds().Where(id => !tested.Contains(id)).Should().BeEmpty("each id in docs/behaviour.md needs a test with its trait");
    }

    [Fact]
    public void Every_id_on_a_test_is_well_formed()
    {
        TestedIds().Where(id => !IdPattern().IsMatch(id)).Should().BeEmpty();
    }

    [Fact]
    public void The_list_names_each_id_once()
    {
        List<string> ids = ListedIds();
        ids.Should().NotBeEmpty().And.OnlyHaveUniqueItems();
    }

    [Fact]
    public void Every_id_that_the_product_cites_is_listed()
    {
        var cited = ProductSources()
            .SelectMany(path => CitedPattern().Matches(File.ReadAllText(path)).Select(match => (Id: match.Value, Path: path)))
            .ToList();
        var listed = ListedIds().ToHashSet();

        cited.Should().HaveCountGreaterThan(100);
        cited.Where(c => !listed.Contains(c.Id)).Should().BeEmpty("what a comment refers to stands in docs/behaviour.md");
    }

    private static IEnumerable<string> ProductSources()
    {
        return Directory.EnumerateDirectories(Repository.PathOf("."), "Vmm.*")
            .Where(project => Path.GetFileName(project) != "Vmm.Tests")
            .SelectMany(project => Directory.EnumerateFiles(project, "*.cs", SearchOption.AllDirectories))
            .Where(path => !path.Contains("/obj/", StringComparison.Ordinal) && !path.Contains("/bin/", StringComparison.Ordinal));
    }

    private static List<string> ListedIds()
    {
        return File.ReadLines(Repository.PathOf("docs/behaviour.md"))
            .Select(line => ListedPattern().Match(line))
            .Where(match => match.Success)
            .Select(match => match.Groups[1].Value)
            .ToList();
    }

    private static HashSet<string> TestedIds()
    {
        var ids = new HashSet<string>();
        foreach (Type type in typeof(BehaviourIdsTests).Assembly.GetTypes())
        {
            bool typeHasTests = false;
            foreach (MethodInfo method in type.GetMethods(BindingFlags.Instance | BindingFlags.Public | BindingFlags.DeclaredOnly))
            {
                if (method.GetCustomAttributes<FactAttribute>().Any())
                {
                    typeHasTests = true;
                    ids.UnionWith(BehaviourTraits(method));
                }
            }

            if (typeHasTests)
            {
                ids.UnionWith(BehaviourTraits(type));
            }
        }

        return ids;
    }

    private static IEnumerable<string> BehaviourTraits(MemberInfo member)
    {
        return member.GetCustomAttributesData()
            .Where(a => a.AttributeType == typeof(TraitAttribute) && (string?)a.ConstructorArguments[0].Value == "Behaviour")
            .Select(a => (string)a.ConstructorArguments[1].Value!);
    }

    [GeneratedRegex(@"^- ([A-Z]+-\d+): ")]
    private static partial Regex ListedPattern();

    [GeneratedRegex(@"(?<![A-Za-z0-9-])(BUS|MEM|KVM|PCI|MSIX|VTP|VQ|DRV|VFIO|LIFE|CON|IO|CTL|PKG)-\d+(?![\d-])")]
    private static partial Regex CitedPattern();

    [GeneratedRegex(@"^(BUS|MEM|KVM|PCI|MSIX|VTP|VQ|DRV|VFIO|LIFE|CON|IO|CTL|PKG)-\d+$")]
    private static partial Regex IdPattern();
}
