using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Xml.Linq;
using Vmm.Tests.Cli;

namespace Vmm.Tests.Documentation;

/// <summary>The packages that the solution gives: the libraries and nothing else, with what a reader of a package feed wants to know.</summary>
public sealed class PackageTests
{
    private static readonly string[] Libraries =
        ["Vmm.Conformance", "Vmm.DeviceModel", "Vmm.Kvm", "Vmm.Machine", "Vmm.Pci", "Vmm.Testing", "Vmm.Vfio", "Vmm.Virtio"];

    [Fact]
    public void The_solution_packs_the_libraries_alone_with_licence_description_documentation_and_symbols()
    {
        string folder = Directory.CreateTempSubdirectory("vmmdevices-packages").FullName;
        try
        {
            VmmResult pack = VmmProcess.RunProgram(
                "dotnet", ["pack", Repository.PathOf("VmmDevices.sln"), "-c", "Release", "--no-build", "-nologo", "-v", "q", "-o", folder]);
            pack.Status.Should().Be(0, "{0}{1}", pack.Output, pack.Error);

            Dictionary<string, XElement> packages = Directory.GetFiles(folder, "*.nupkg").Select(Open).ToDictionary(package => Text(package, "id"));
            packages.Keys.Should().BeEquivalentTo(Libraries);
            foreach ((string id, XElement package) in packages)
            {
                Text(package, "authors").Should().Be("The VmmDevices maintainers");
                Text(package, "license").Should().Be("MIT");
                Text(package, "readme").Should().Be("README.md");
                Text(package, "description").Length.Should().BeInRange(60, 300, id);
                Text(package, "tags").Should().Contain("vmm").And.NotContain(";", "words are parted by spaces");
                Child(package, "projectUrl").Should().BeNull("no address is known");
                Child(package, "repository")?.Attribute("url").Should().BeNull("no address is known");
                CheckContents(folder, id, Text(package, "version"));
                CheckDependencies(package);
            }
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public void The_licence_is_at_the_root()
    {
        File.ReadAllText(Repository.PathOf("LICENSE")).Should().StartWith("MIT License").And.Contain("The VmmDevices maintainers");
    }

    private static void CheckContents(string folder, string id, string version)
    {
        using ZipArchive package = ZipFile.OpenRead(Path.Combine(folder, $"{id}.{version}.nupkg"));
        package.Entries.Select(entry => entry.FullName).Should().Contain([$"lib/net10.0/{id}.dll", $"lib/net10.0/{id}.xml", "README.md"]);
        Read(package, "README.md").Should().StartWith($"# {id}\n");
        Read(package, $"lib/net10.0/{id}.xml").Should().Contain("<summary>");

        using ZipArchive symbols = ZipFile.OpenRead(Path.Combine(folder, $"{id}.{version}.snupkg"));
        symbols.Entries.Select(entry => entry.FullName).Should().Contain($"lib/net10.0/{id}.pdb");
    }

    /// <summary>The libraries are friends and use each other's internals: only those of one build belong together.</summary>
    private static void CheckDependencies(XElement package)
    {
        string exactly = $"[{Text(package, "version")}]";
        string[] friends =
        [
            .. package.Descendants()
                .Where(element => element.Name.LocalName == "dependency" && Libraries.Contains(element.Attribute("id")!.Value))
                .Select(friend => friend.Attribute("version")!.Value),
        ];
        friends.Should().NotContain(version => version != exactly);
        (friends.Length != 0).Should().Be(Text(package, "id") != "Vmm.DeviceModel");
        if (Text(package, "id") == "Vmm.Testing")
        {
            package.Descendants().Where(element => element.Name.LocalName == "dependency").Select(dependency => dependency.Attribute("id")!.Value)
                .Should().BeSubsetOf([.. Libraries, "Microsoft.Extensions.Logging.Abstractions"], "it goes with any test framework");
        }
    }

    private static XElement Open(string path)
    {
        using ZipArchive archive = ZipFile.OpenRead(path);
        string manifest = archive.Entries.Single(entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).FullName;
        return XDocument.Parse(Read(archive, manifest)).Root!.Elements().First();
    }

    private static string Read(ZipArchive archive, string name)
    {
        using var reader = new StreamReader(archive.GetEntry(name)!.Open(), Encoding.UTF8);
        return reader.ReadToEnd();
    }

    private static XElement? Child(XElement package, string name) => package.Elements().SingleOrDefault(element => element.Name.LocalName == name);

    private static string Text(XElement package, string name) => Child(package, name)?.Value ?? "";
}
