using System;
using System.Collections.Generic;
using System.IO;
using System.IO.Compression;
using System.Linq;
using System.Text;
using System.Xml.Linq;
using Vmm.Tests.Cli;

namespace Vmm.Tests.Packages;

/// <summary>The packages that the solution gives, as it was built, in a folder of their own.</summary>
public sealed class PackedLibraries : IDisposable
{
    public PackedLibraries()
    {
        Folder = Directory.CreateTempSubdirectory("vmmpack").FullName;
        try
        {
            Pack(Folder);
        }
        catch
        {
            Dispose();
            throw;
        }

        Manifests = Directory.GetFiles(Folder, "*.nupkg").Select(ReadManifest).ToDictionary(manifest => Text(manifest, "id"));
    }

    /// <summary>The SDK's command that runs these tests.</summary>
    public static string DotNet { get; } = Environment.GetEnvironmentVariable("DOTNET_HOST_PATH") ?? "dotnet";

    public string Folder { get; }

    /// <summary>The <c>metadata</c> of each package, by its id.</summary>
    public IReadOnlyDictionary<string, XElement> Manifests { get; }

    public static XElement? Child(XElement manifest, string name) => manifest.Elements().SingleOrDefault(element => element.Name.LocalName == name);

    public static string Text(XElement manifest, string name) => Child(manifest, name)?.Value ?? "";

    public string VersionOf(string id) => Text(Manifests[id], "version");

    public ZipArchive Open(string id, string extension = "nupkg") => ZipFile.OpenRead(Path.Combine(Folder, $"{id}.{VersionOf(id)}.{extension}"));

    public static string Read(ZipArchive archive, string name)
    {
        using var reader = new StreamReader(archive.GetEntry(name)!.Open(), Encoding.UTF8);
        return reader.ReadToEnd();
    }

    /// <summary>For a command of the SDK that leaves nothing: no process that goes on, no file outside of a folder that goes.</summary>
    /// <param name="folder">The folder. Its name is short: sockets lie in it.</param>
    public static Dictionary<string, string?> EnvironmentIn(string folder) => new()
    {
        ["MSBUILDDISABLENODEREUSE"] = "1",
        ["UseSharedCompilation"] = "false",
        ["DOTNET_CLI_TELEMETRY_OPTOUT"] = "1",
        ["TMPDIR"] = folder,
    };

    public void Dispose() => Directory.Delete(Folder, recursive: true);

    private static void Pack(string folder)
    {
        string temporary = Directory.CreateDirectory(Path.Combine(folder, "tmp")).FullName;

        // Manifests go beside the packages, lest two who pack at once write the same files.
        VmmResult pack = VmmProcess.RunProgram(
            DotNet,
            [
                "pack", Repository.PathOf("VmmDevices.sln"), "-c", "Release", "--no-build", "-nologo", "-v", "q", "-o", folder,
                $"-p:NuspecOutputPath={folder}/manifests/",
            ],
            EnvironmentIn(temporary),
            TimeSpan.FromMinutes(3));
        pack.Status.Should().Be(0, "{0}{1}", pack.Output, pack.Error);
    }

    private static XElement ReadManifest(string path)
    {
        using ZipArchive archive = ZipFile.OpenRead(path);
        string name = archive.Entries.Single(entry => entry.FullName.EndsWith(".nuspec", StringComparison.Ordinal)).FullName;
        return XDocument.Parse(Read(archive, name)).Root!.Elements().First();
    }
}
