using System;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Pci;

/// <summary>A test that runs <c>lspci</c>; skipped, with the reason, where it is not installed.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LspciFactAttribute : FactAttribute
{
    public LspciFactAttribute()
    {
        if (Program is null)
        {
            Skip = "lspci is not installed (package pciutils)";
        }
    }

    public static string? Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(':')
        .Concat(["/usr/bin", "/sbin", "/usr/sbin"])
        .Select(static directory => Path.Combine(directory, "lspci"))
        .FirstOrDefault(File.Exists);
}
