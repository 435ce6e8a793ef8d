using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Threading.Tasks;

namespace Vmm.Tests.Cli;

/// <summary>Runs the command as a process of its own, as a shell does.</summary>
internal static class VmmProcess
{
    /// <summary>Path of the command: the published one, which build/test names, or the one beside the tests.</summary>
    public static string Command { get; } = Environment.GetEnvironmentVariable("VMMDEVICES_VMM") ?? Path.Combine(AppContext.BaseDirectory, "vmm");

    /// <summary>Runs it with nothing on standard input.</summary>
    public static VmmResult Run(params IEnumerable<string> arguments) => RunProgram(Command, arguments);

    /// <summary>Runs any program; one that takes longer than it may is killed, with all that it started.</summary>
    /// <param name="program">Its name or path.</param>
    /// <param name="arguments">Its words.</param>
    /// <param name="environment">Variables set besides those of the tests; null removes one.</param>
    /// <param name="limit">How long it may take; a minute without it.</param>
    public static VmmResult RunProgram(
        string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string?>? environment = null, TimeSpan? limit = null)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        foreach ((string name, string? value) in environment ?? new Dictionary<string, string?>())
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(limit ?? TimeSpan.FromMinutes(1)))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        return new VmmResult(process.ExitCode, output.Result, error.Result);
    }

    /// <summary>Where a program is, or null.</summary>
    public static string? Find(string program)
    {
        foreach (string folder in (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries))
        {
            string path = Path.Combine(folder, program);
            if (File.Exists(path))
            {
                return path;
            }
        }

        return null;
    }
}
