using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Xml.Linq;

namespace Vmm.Tests.Packages;

/// <summary>
/// The packages that the solution gives: the libraries and nothing else, with what a reader of a package feed wants to know, and enough to build and
/// test a device.
/// </summary>
[Trait("Behaviour", "PKG-1")]
public sealed class PackageTests(PackedLibraries packed) : IClassFixture<PackedLibraries>
{
    private static readonly string[] Libraries =
        ["Vmm.Api", "Vmm.Conformance", "Vmm.DeviceModel", "Vmm.Kvm", "Vmm.Machine", "Vmm.Pci", "Vmm.Testing", "Vmm.Vfio", "Vmm.Virtio"];

    [Fact]
    public void The_solution_packs_the_libraries_alone_with_licence_description_documentation_and_symbols()
    {
        packed.Manifests.Keys.Should().BeEquivalentTo(Libraries);
        foreach ((string id, XElement manifest) in packed.Manifests)
        {
            Text(manifest, "authors").Should().Be("The VmmDevices maintainers");
            Text(manifest, "license").Should().Be("MIT");
            Text(manifest, "readme").Should().Be("README.md");
            Text(manifest, "description").Length.Should().BeInRange(60, 300, id);
            Text(manifest, "tags").Should().Contain("vmm").And.NotContain(";", "words are parted by spaces");
            PackedLibraries.Child(manifest, "projectUrl").Should().BeNull("no address is known");
            PackedLibraries.Child(manifest, "repository")?.Attribute("url").Should().BeNull("no address is known");
            CheckContents(id);
            CheckDependencies(manifest);
        }
    }

    [Fact]
    [Trait("Category", "Long")]
    public void A_project_outside_the_repository_builds_tests_and_checks_the_samples_with_the_packages_alone()
    {
        using var project = new OutsideProject(packed);

        ILookup<string, string> outcomes = project.Test();

        outcomes.SelectMany(static outcome => outcome).Should().OnlyContain(static outcome => outcome == "Passed").And.HaveCount(project.Count);
        outcomes.Select(static outcome => outcome.Key).Should()
            .Contain(["Samples.Tests.EduTests.Conformance_finds_nothing", "Samples.Tests.BalloonTests.Conformance_finds_nothing"]);
        string[] used = ["Vmm.Conformance", "Vmm.DeviceModel", "Vmm.Pci", "Vmm.Testing", "Vmm.Virtio"];
        project.Origins().Where(static origin => origin.Key.StartsWith("Vmm.", StringComparison.Ordinal)).Should()
            .BeEquivalentTo(used.Select(static id => KeyValuePair.Create(id, "package")));
        foreach (string id in used)
        {
            using ZipArchive package = packed.Open(id);
            using var library = new MemoryStream();
            using (Stream content = package.GetEntry($"lib/net10.0/{id}.dll")!.Open())
            {
                content.CopyTo(library);
            }

            project.ReadLibrary(id).AsSpan().SequenceEqual(library.ToArray()).Should().BeTrue($"{id} is that of the package");
        }
    }

    [Fact]
    public void The_licence_is_at_the_root()
    {
        File.ReadAllText(Repository.PathOf("LICENSE")).Should().StartWith("MIT License").And.Contain("The VmmDevices maintainers");
    }

    private static string Text(XElement manifest, string name) => PackedLibraries.Text(manifest, name);

    private void CheckContents(string id)
    {
        using ZipArchive package = packed.Open(id);
        package.Entries.Select(entry => entry.FullName).Should().Contain([$"lib/net10.0/{id}.dll", $"lib/net10.0/{id}.xml", "README.md"]);
        PackedLibraries.Read(package, "README.md").Should().StartWith($"# {id}\n");
        PackedLibraries.Read(package, $"lib/net10.0/{id}.xml").Should().Contain("<summary>");

        using ZipArchive symbols = packed.Open(id, "snupkg");
        symbols.Entries.Select(entry => entry.FullName).Should().Contain($"lib/net10.0/{id}.pdb");
    }

    /// <summary>The libraries are friends and use each other's internals: only those of one build belong together.</summary>
    private static void CheckDependencies(XElement manifest)
    {
        string exactly = $"[{Text(manifest, "version")}]";
        string[] friends =
        [
            .. manifest.Descendants()
                .Where(element => element.Name.LocalName == "dependency" && Libraries.Contains(element.Attribute("id")!.Value))
                .Select(friend => friend.Attribute("version")!.Value),
        ];
        friends.Should().NotContain(version => version != exactly);
        (friends.Length != 0).Should().Be(Text(manifest, "id") != "Vmm.DeviceModel");
        if (Text(manifest, "id") == "Vmm.Testing")
        {
            manifest.Descendants().Where(element => element.Name.LocalName == "dependency").Select(dependency => dependency.Attribute("id")!.Value)
                .Should().BeSubsetOf([.. Libraries, "Microsoft.Extensions.Logging.Abstractions"], "it goes with any test framework");
        }
    }
}
