using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;

namespace Vmm.Tests.Nested.ApiClient;

/// <summary>The program, started by the name <c>cloud-hypervisor</c>.</summary>
internal sealed class Hypervisor : IDisposable
{
    private readonly Process _process;

    /// <param name="vmm">The program.</param>
    /// <param name="redirect">Its standard output is read by us; otherwise it is ours.</param>
    /// <param name="arguments">Its words.</param>
    public Hypervisor(string vmm, bool redirect, params string[] arguments)
    {
        string link = Path.GetFullPath("cloud-hypervisor");
        if (!File.Exists(link))
        {
            File.CreateSymbolicLink(link, vmm);
        }

        _process = Process.Start(new ProcessStartInfo(link, arguments) { RedirectStandardOutput = redirect })!;
    }

    public Stream Output => _process.StandardOutput.BaseStream;

    public bool HasExited => _process.HasExited;

    /// <summary>Names of all threads.</summary>
    public string[] Threads =>
        [.. Directory.GetDirectories($"/proc/{_process.Id}/task").Select(static task => Read(Path.Combine(task, "comm"))).Order()];

    /// <summary>
    /// The holdings of a guest and its devices: descriptors of the kernel's own, of devices and of files in a folder, and threads of vCPUs and devices.
    /// Others, which the runtime has, come and go.
    /// </summary>
    /// <param name="folder">The folder with the disks.</param>
    public string Held(string folder)
    {
        IEnumerable<string> files = Directory.GetFiles($"/proc/{_process.Id}/fd").Select(static path => new FileInfo(path).LinkTarget ?? "")
            .Where(target => target.StartsWith("anon_inode:", StringComparison.Ordinal) || target.StartsWith("/dev/", StringComparison.Ordinal)
                || target.StartsWith(folder + "/", StringComparison.Ordinal));
        IEnumerable<string> threads = Threads.Where(static name => name.StartsWith('_') || name.StartsWith("vcpu", StringComparison.Ordinal));
        return string.Join(", ", files.Concat(threads).GroupBy(static item => item).OrderBy(static group => group.Key, StringComparer.Ordinal)
            .Select(static group => $"{group.Key} x{group.Count()}"));
    }

    /// <summary>Waits for its end.</summary>
    /// <returns>Its exit status.</returns>
    public int WaitForExit()
    {
        Facts.Check(_process.WaitForExit(Facts.Patience), "the program does not end");
        return _process.ExitCode;
    }

    /// <summary>Ends it if it runs still.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
        }

        _process.Dispose();
    }

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (IOException)
        {
            // The thread has ended meanwhile.
            return "";
        }
    }
}
