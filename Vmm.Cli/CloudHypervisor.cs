using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Machine.Catalogue;

namespace Vmm.Cli;

/// <summary>
/// The command called by the name <c>cloud-hypervisor</c>, as its clients call it: that program's command line, turned into words of ours.
/// </summary>
internal static class CloudHypervisor
{
    /// <summary>The version whose API is spoken; clients ask for it to know what they may use.</summary>
    public const string Version = "53.0.0";

    private const string Name = "cloud-hypervisor";

    /// <summary>Whether the process was started by that name.</summary>
    public static bool IsCalled()
    {
        try
        {
            // As the caller wrote it; the runtime names the program's own file.
            return Path.GetFileName(File.ReadAllText("/proc/self/cmdline").Split('\0')[0]) == Name;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    /// <summary>Whether the words ask for the version alone.</summary>
    public static bool AsksForVersion(IReadOnlyList<string> args) => args is ["--version" or "-V"];

    /// <summary>The line that says which version it is.</summary>
    public static string VersionLine => $"{Name} v{Version}";

    /// <summary>Turns its words into those of <c>vmm</c>.</summary>
    /// <param name="args">Its words.</param>
    /// <exception cref="UsageException">One asks for what is not here.</exception>
    public static string[] Translate(IReadOnlyList<string> args)
    {
        var words = new List<string> { "run" };
        int verbosity = 0;
        for (int i = 0; i < args.Count; i++)
        {
            string word = args[i];
            if (word.Length > 1 && word[0] == '-' && word.Skip(1).All(static c => c == 'v'))
            {
                verbosity += word.Length - 1;
            }
            else if (word == "--seccomp" && i + 1 < args.Count)
            {
                // Which system calls the process may make is nothing to the guest.
                i++;
            }
            else if (!word.StartsWith("--seccomp=", StringComparison.Ordinal))
            {
                words.Add(word);
            }
        }

        // Its own defaults, where it has a guest to start at once.
        if (Has(args, "--kernel"))
        {
            words.AddRange(Has(args, "--serial") ? [] : ["--serial", "null"]);
            words.AddRange(Has(args, "--console") || Has(args, "--serial") ? [] : ["--console", "tty"]);
        }

        if (verbosity > 0)
        {
            words.AddRange(["--log-level", verbosity switch { 1 => "info", 2 => "debug", _ => "trace" }]);
        }

        return [.. words];
    }

    private static bool Has(IReadOnlyList<string> args, string option) =>
        args.Any(word => word == option || word.StartsWith(option + "=", StringComparison.Ordinal));
}
