using System;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Machine;

/// <summary>A theory that needs iasl, the ACPI compiler of the package acpica-tools.</summary>
internal sealed class IaslTheoryAttribute : TheoryAttribute
{
    public IaslTheoryAttribute()
    {
        if (Program.Length == 0)
        {
            Skip = "iasl is not installed (package acpica-tools)";
        }
    }

    /// <summary>Path of the program, or empty.</summary>
    public static string Program { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries)
        .Select(folder => Path.Combine(folder, "iasl"))
        .FirstOrDefault(File.Exists) ?? "";
}
