using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.Json;
using System.Text.RegularExpressions;
using System.Xml.Linq;
using Vmm.Tests.Cli;

namespace Vmm.Tests.Packages;

/// <summary>
/// The samples as a project of somebody else: outside of the repository, with its own settings, on the packed libraries alone. All that NuGet and the
/// SDK write is in a folder that goes with it; what is not ours comes from the packages that these tests were built with: no network is needed.
/// </summary>
internal sealed class OutsideProject(PackedLibraries packed) : IDisposable
{
    private static readonly string[] Projects = ["Edu", "Balloon", "Tests"];
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    private readonly string _folder = Directory.CreateTempSubdirectory("vmmuse").FullName;

    /// <summary>Tests that the sources have, once they are there.</summary>
    public int Count => Directory.GetFiles(Path.Combine(_folder, "Tests"), "*.cs")
        .Sum(static source => Regex.Count(File.ReadAllText(source), @"^\s*\[(Fact|InlineData\(.*\))\]\s*$", RegexOptions.Multiline));

    /// <summary>Writes the project, restores and builds it, and runs the tests.</summary>
    /// <returns>The outcome of each, by its full name.</returns>
    public ILookup<string, string> Test()
    {
        Write();
        string temporary = Directory.CreateDirectory(Path.Combine(_folder, "tmp")).FullName;
        var environment = new Dictionary<string, string?>(PackedLibraries.EnvironmentIn(temporary))
        {
            ["NUGET_PACKAGES"] = Path.Combine(_folder, "packages"),
            ["NUGET_SCRATCH"] = Path.Combine(_folder, "scratch"),
            ["NUGET_HTTP_CACHE_PATH"] = Path.Combine(_folder, "http"),
            ["DOTNET_CLI_HOME"] = Path.Combine(_folder, "home"),
        };
        VmmResult result = VmmProcess.RunProgram(
            PackedLibraries.DotNet,
            [
                "test", Path.Combine(_folder, "Tests"), "-c", "Release", "-nologo", "-v", "q",
                "--logger", "trx;LogFileName=results.trx", "--results-directory", _folder,
            ],
            environment,
            Limit);
        result.Status.Should().Be(0, "{0}{1}", result.Output, result.Error);
        return XDocument.Load(Path.Combine(_folder, "results.trx")).Descendants()
            .Where(static element => element.Name.LocalName == "UnitTestResult")
            .ToLookup(static element => element.Attribute("testName")!.Value, static element => element.Attribute("outcome")!.Value);
    }

    /// <summary>A library as it lies beside the tests that ran.</summary>
    public byte[] ReadLibrary(string id) => File.ReadAllBytes(Path.Combine(_folder, "Tests/bin/Release/net10.0", id + ".dll"));

    /// <summary>Where the libraries of the tests came from: <c>package</c> or <c>project</c>, by their ids.</summary>
    public IReadOnlyDictionary<string, string> Origins()
    {
        using var assets = JsonDocument.Parse(File.ReadAllText(Path.Combine(_folder, "Tests/obj/project.assets.json")));
        return assets.RootElement.GetProperty("libraries").EnumerateObject()
            .ToDictionary(static library => library.Name.Split('/')[0], static library => library.Value.GetProperty("type").GetString()!);
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private void Write()
    {
        string restored = Path.Combine(_folder, "restored");
        LinkPackages(restored);
        File.WriteAllText(Path.Combine(_folder, "nuget.config"), $"""
            <configuration>
              <packageSources><clear /><add key="packed" value="{packed.Folder}" /></packageSources>
              <fallbackPackageFolders><clear /><add key="restored" value="{restored}" /></fallbackPackageFolders>
            </configuration>
            """);
        File.WriteAllText(Path.Combine(_folder, "Directory.Build.props"), """
            <Project>
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <Nullable>enable</Nullable>
                <TreatWarningsAsErrors>true</TreatWarningsAsErrors>
              </PropertyGroup>
            </Project>
            """);
        Dictionary<string, string> versions = ReadVersions();
        foreach (string project in Projects)
        {
            string from = Repository.PathOf($"samples/{project}");
            string to = Directory.CreateDirectory(Path.Combine(_folder, project)).FullName;
            foreach (string source in Directory.GetFiles(from, "*.cs"))
            {
                File.Copy(source, Path.Combine(to, Path.GetFileName(source)));
            }

            string file = Directory.GetFiles(from, "*.csproj").Single();
            File.WriteAllText(Path.Combine(to, Path.GetFileName(file)), UsePackages(File.ReadAllText(file), versions));
        }
    }

    private string UsePackages(string project, Dictionary<string, string> versions)
    {
        string used = Regex.Replace(
            project, """<ProjectReference Include="\.\./\.\./(.+?)/.+?" />""",
            match => $"""<PackageReference Include="{match.Groups[1].Value}" Version="{packed.VersionOf(match.Groups[1].Value)}" />""");
        used = Regex.Replace(
            used, """<PackageReference Include="([^"]+)" />""",
            match => $"""<PackageReference Include="{match.Groups[1].Value}" Version="{versions[match.Groups[1].Value]}" />""");
        used.Should().Contain("<PackageReference Include=\"Vmm.").And.NotContain("../../");
        return used;
    }

    private static Dictionary<string, string> ReadVersions() =>
        XDocument.Load(Repository.PathOf("Directory.Packages.props")).Descendants("PackageVersion")
            .ToDictionary(static version => version.Attribute("Include")!.Value, static version => version.Attribute("Version")!.Value);

    /// <summary>Makes what these tests were built with visible (the samples' need no more), but no package of ours that was installed once.</summary>
    private static void LinkPackages(string folder)
    {
        Directory.CreateDirectory(folder);
        using var assets = JsonDocument.Parse(File.ReadAllText(Repository.PathOf("Vmm.Tests/obj/project.assets.json")));
        foreach (JsonProperty from in assets.RootElement.GetProperty("packageFolders").EnumerateObject())
        {
            foreach (string package in Directory.GetDirectories(from.Name))
            {
                string link = Path.Combine(folder, Path.GetFileName(package));
                if (!Path.GetFileName(package).StartsWith("vmm.", StringComparison.Ordinal) && !Directory.Exists(link))
                {
                    Directory.CreateSymbolicLink(link, package);
                }
            }
        }
    }
}
