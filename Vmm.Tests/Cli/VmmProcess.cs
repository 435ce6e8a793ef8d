using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;

namespace Vmm.Tests.Cli;

/// <summary>Runs the command as a process of its own, as a shell does.</summary>
internal static class VmmProcess
{
    private const int TimeoutSeconds = 60;

    /// <summary>Path of the command: the published one, which build/test names, or the one beside the tests.</summary>
    public static string Command { get; } = Environment.GetEnvironmentVariable("VMMDEVICES_VMM") ?? Path.Combine(AppContext.BaseDirectory, "vmm");

    /// <summary>Runs it with nothing on standard input.</summary>
    public static VmmResult Run(params IEnumerable<string> arguments) => RunProgram(Command, arguments);

    /// <summary>Runs any program.</summary>
    public static VmmResult RunProgram(string program, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetTempPath(),
        };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        var output = process.StandardOutput.ReadToEndAsync();
        var error = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TimeSpan.FromSeconds(TimeoutSeconds)))
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
