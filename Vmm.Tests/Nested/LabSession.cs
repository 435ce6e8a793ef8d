using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Vmm.Tests.Nested;

/// <summary>Runs several guests under <c>vmm</c> in one boot of the nested lab (build/lab/run).</summary>
public static class LabSession
{
    /// <summary>A lab keeps one processor busy and has up to 4 GiB; xunit runs as many classes at once as there are processors.</summary>
    private static readonly SemaphoreSlim Labs = new(
        (int)Math.Clamp(GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (5L << 30), 1, Environment.ProcessorCount));

    /// <summary>Why nested tests cannot run here, or null.</summary>
    public static string? WhyNot { get; } = FindWhyNot();

    /// <summary>Runs the cases in order. VMMDEVICES_NESTED_KEEP names a directory for scripts, consoles and notes, to look at by hand.</summary>
    /// <param name="cases">The guests.</param>
    /// <param name="files">Made in a folder that the lab sees as $SHARE, by name.</param>
    /// <param name="memory">Memory of the lab in MiB.</param>
    /// <param name="options">More options for build/lab/run.</param>
    public static IReadOnlyDictionary<string, LabResult> Run(
        IReadOnlyList<LabCase> cases, IReadOnlyDictionary<string, byte[]>? files = null, int memory = 3072, params string[] options)
    {
        DirectoryInfo share = Directory.CreateTempSubdirectory("vmmdevices-nested.");
        try
        {
            foreach ((string name, byte[] content) in files ?? new Dictionary<string, byte[]>())
            {
                File.WriteAllBytes(Path.Combine(share.FullName, name), content);
            }

            string script = Path.Combine(share.FullName, "script");
            File.WriteAllText(script, WriteScript(cases, share.FullName));
            int limit = cases.Sum(c => c.TimeoutSeconds + 10) + 60;
            (int status, string output) = RunLab(limit, ["--memory", $"{memory}", "--out", share.FullName, .. options, "--", "bash", script]);
            if (Environment.GetEnvironmentVariable("VMMDEVICES_NESTED_KEEP") is { Length: > 0 } kept)
            {
                Execute(60, "/bin/cp", "-rT", share.FullName, kept);
            }

            status.Should().Be(0, "the lab has to run the script: {0}", output);
            return cases.ToDictionary(c => c.Name, c => ReadResult(Path.Combine(share.FullName, "results", c.Name)));
        }
        finally
        {
            share.Delete(recursive: true);
        }
    }

    /// <summary>Boots a lab for one command, as soon as there is room for it, and returns the command's status and output.</summary>
    /// <param name="timeoutSeconds">The lab's limit, counted from its start.</param>
    /// <param name="arguments">For build/lab/run, but the limit.</param>
    public static (int Status, string Output) RunLab(int timeoutSeconds, params string[] arguments)
    {
        Labs.Wait();
        try
        {
            return Execute(timeoutSeconds + 60, "build/lab/run", ["--timeout", $"{timeoutSeconds}", .. arguments]);
        }
        finally
        {
            Labs.Release();
        }
    }

    /// <summary>Runs a program of the checkout and returns its status and output.</summary>
    public static (int Status, string Output) Execute(int timeoutSeconds, string program, params string[] arguments)
    {
        (int status, string output, string errors) = ExecuteApart(timeoutSeconds, program, arguments);
        return (status, output + errors);
    }

    private static (int Status, string Output, string Errors) ExecuteApart(int timeoutSeconds, string program, string[] arguments)
    {
        var start = new ProcessStartInfo(Repository.PathOf(program), arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            RedirectStandardInput = true,
            WorkingDirectory = Repository.Root,
        };
        using Process process = Process.Start(start)!;
        process.StandardInput.Close();
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        if (!process.WaitForExit(TimeSpan.FromSeconds(timeoutSeconds)))
        {
            process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        return (process.ExitCode, output.Result, errors.Result);
    }

    /// <summary>Compiles a C program of the checkout for guests, which have no libraries.</summary>
    public static void Compile(string source, string output)
    {
        (int status, string text) = Execute(120, "/usr/bin/gcc", "-static", "-O2", "-Wall", "-Werror", "-o", output, Repository.PathOf(source));
        status.Should().Be(0, "{0} has to compile: {1}", source, text);
    }

    private static string WriteScript(IReadOnlyList<LabCase> cases, string share)
    {
        var script = new StringBuilder();
        script.Append("export SHARE='").Append(share).Append("' VMM='").Append(Vmm).Append("'\nmkdir -p $SHARE/results\n");
        foreach (LabCase run in cases)
        {
            string guest = Path.Combine(share, run.Name + ".guest");
            File.WriteAllText(guest, run.Guest + "\n");
            string[] modules = run.Modules.Length == 0 ? [] : ["--modules", run.Modules];
            string initramfs = Output(
                "build/lab/guest-initramfs", [run.Flavour, "--script", guest, .. modules, .. run.Files.SelectMany(file => new[] { "--file", file })]);
            string kernel = Output("build/lab/kernels", run.Flavour, run.Vmlinux ? "--vmlinux" : "--vmlinuz");
            script.Append($$"""

                # --- {{run.Name}}
                mkdir -p /tmp/{{run.Name}}; cd /tmp/{{run.Name}}
                export KERNEL='{{kernel}}' INITRAMFS='{{initramfs}}'
                (
                {{run.Before}}
                true
                ) >notes 2>&1
                CMDLINE='console=ttyS0 quiet panic=-1 mitigations=off {{run.CommandLine}}'
                timeout -s KILL {{run.TimeoutSeconds}} {{(run.Command.Length == 0 ? MachineOf(run) : run.Command + " >>notes")}} 2>errors </dev/null &
                timer=$!
                (
                pid=
                while kill -0 $timer 2>/dev/null && [[ -z $pid ]]; do read -r pid _ </proc/$timer/task/$timer/children; done
                {{run.Beside}}
                true
                ) >>notes 2>&1
                wait $timer; echo $? >status
                (
                {{run.After}}
                true
                ) >>notes 2>&1
                mkdir $SHARE/results/{{run.Name}}; touch console
                cp console errors notes status $SHARE/results/{{run.Name}}/
                cd /; rm -rf /tmp/{{run.Name}}

                """);
        }

        return script.ToString();
    }

    private static string MachineOf(LabCase run)
    {
        return $"""
            $VMM run --kernel $KERNEL --initramfs $INITRAMFS --cpus boot={run.Processors} --memory {run.Memory} --cmdline "$CMDLINE" \
                --serial file=console --console {run.Console} {(run.NoReboot ? "--no-reboot" : "")} {run.Arguments}
            """;
    }

    private static LabResult ReadResult(string folder)
    {
        return new LabResult(
            int.Parse(File.ReadAllText(Path.Combine(folder, "status"))),
            File.ReadAllText(Path.Combine(folder, "console")),
            File.ReadAllText(Path.Combine(folder, "errors")),
            File.ReadAllText(Path.Combine(folder, "notes")));
    }

    private static string Output(string program, params string[] arguments)
    {
        // What it says of its progress, as when it fetches something for the first time, is not its answer.
        (int status, string output, string errors) = ExecuteApart(600, program, arguments);
        status.Should().Be(0, "{0} has to succeed: {1}", program, output + errors);
        return output.Trim().Split('\n')[^1];
    }

    /// <summary>The published program.</summary>
    public static string Vmm => Environment.GetEnvironmentVariable("VMMDEVICES_VMM") ?? Repository.PathOf("artifacts/publish/vmm");

    private static string? FindWhyNot()
    {
        if (Environment.GetEnvironmentVariable("VMMDEVICES_NESTED") == "0")
        {
            return "VMMDEVICES_NESTED=0 switches the nested lab off";
        }

        if (!File.Exists(Vmm))
        {
            return $"no published vmm at {Vmm}: run build/test, or dotnet publish Vmm.Cli -c Release -o artifacts/publish";
        }

        return File.Exists("/usr/bin/qemu-system-x86_64") ? null : "qemu-system-x86 is not installed: run build/test as root";
    }
}
