using System;
using System.Globalization;
using System.IO;

namespace Vmm.Tests.Fuzz;

/// <summary>A file that says which seed runs while it runs: a process that dies cannot say so itself.</summary>
internal sealed class Breadcrumb : IDisposable
{
    private readonly string _path;

    private Breadcrumb(string path) => _path = path;

    /// <summary>Leaves the file until the result is disposed.</summary>
    public static Breadcrumb Leave(ulong seed, int machine)
    {
        string path = Path.Combine(Path.GetTempPath(), string.Create(CultureInfo.InvariantCulture, $"vmm-fuzz-running-{Environment.ProcessId}.txt"));
        File.WriteAllText(path, string.Create(CultureInfo.InvariantCulture, $"seed {seed}, machine {machine}\n"));
        return new Breadcrumb(path);
    }

    public void Dispose() => File.Delete(_path);
}
