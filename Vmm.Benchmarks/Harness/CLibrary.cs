using System;
using System.Diagnostics;
using System.IO;
using System.Runtime.InteropServices;

namespace Vmm.Benchmarks.Harness;

/// <summary>A C file of this project, compiled by the system's C compiler and loaded into this process.</summary>
internal sealed class CLibrary : IDisposable
{
    private readonly nint _library;

    /// <param name="folder">Folder of the project that it lies in.</param>
    /// <param name="file">Its name.</param>
    /// <exception cref="InvalidOperationException">It is not there, or does not compile.</exception>
    public CLibrary(string folder, string file)
    {
        string library = Path.Combine(Path.GetTempPath(), $"vmm-{file}-{Environment.ProcessId}.so");
        using (var compiler = Process.Start("/usr/bin/gcc", ["-O2", "-shared", "-fPIC", "-o", library, Find(folder, file)]))
        {
            compiler.WaitForExit();
            if (compiler.ExitCode != 0)
            {
                throw new InvalidOperationException($"gcc does not compile {file}");
            }
        }

        _library = NativeLibrary.Load(library);
        File.Delete(library);
    }

    /// <summary>True if the compiler is there.</summary>
    public static bool HasCompiler => File.Exists("/usr/bin/gcc");

    /// <summary>The address of a function.</summary>
    public nint this[string function] => NativeLibrary.GetExport(_library, function);

    /// <inheritdoc/>
    public void Dispose() => NativeLibrary.Free(_library);

    private static string Find(string folder, string file)
    {
        for (var above = new DirectoryInfo(AppContext.BaseDirectory); above is not null; above = above.Parent)
        {
            string source = Path.Combine(above.FullName, "Vmm.Benchmarks", folder, file);
            if (File.Exists(source))
            {
                return source;
            }
        }

        throw new InvalidOperationException($"{file} was not found above the program");
    }
}
