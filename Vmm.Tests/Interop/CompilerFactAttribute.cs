using System;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Interop;

/// <summary>A test that needs a C compiler and the kernel's headers; elsewhere skipped with the reason.</summary>
public sealed class CompilerFactAttribute : FactAttribute
{
    public CompilerFactAttribute()
    {
        if (Compiler.Length == 0)
        {
            Skip = "no C compiler is installed (packages gcc, libc6-dev)";
        }
        else if (!File.Exists("/usr/include/linux/kvm.h"))
        {
            Skip = "the kernel's headers are not installed (package linux-libc-dev)";
        }
    }

    /// <summary>Path of the compiler, or empty.</summary>
    public static string Compiler { get; } = (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries)
        .SelectMany(folder => new[] { Path.Combine(folder, "cc"), Path.Combine(folder, "gcc") })
        .FirstOrDefault(File.Exists) ?? "";
}
