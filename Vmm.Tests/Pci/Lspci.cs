using System;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;
using System.Threading.Tasks;

namespace Vmm.Tests.Pci;

/// <summary>The real lspci as a judge of dumps.</summary>
internal static class Lspci
{
    /// <summary>What lspci printed, function by function.</summary>
    public static string[] Sections(string text)
    {
        return text.Split("\n\n", StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
    }

    /// <summary>What <c>lspci -vvv</c> prints for a dump, after checks that hold for every function.</summary>
    /// <param name="dump">The dump.</param>
    /// <param name="notKnownToLspci">Words that it may print although nothing is wrong.</param>
    public static string Read(string dump, string? notKnownToLspci = null)
    {
        string file = Path.GetTempFileName();
        try
        {
            File.WriteAllText(file, dump);
            var start = new ProcessStartInfo(LspciFactAttribute.Program!, ["-vvv", "-F", file])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using Process process = Process.Start(start)!;
            Task<string> errors = process.StandardError.ReadToEndAsync();
            string text = process.StandardOutput.ReadToEnd();
            process.WaitForExit(60_000).Should().BeTrue();
            process.ExitCode.Should().Be(0);

            // A host without kernel modules makes lspci complain about its own look-up of drivers.
            errors.GetAwaiter().GetResult().Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Where(static line => !line.Contains("libkmod", StringComparison.Ordinal)).Should().BeEmpty();
            string judged = notKnownToLspci is null ? text : text.Replace(notKnownToLspci, "", StringComparison.Ordinal);
            judged.Should().NotMatchRegex(new Regex("unknown|broken|looped|unreadable|invalid|denied|!!!", RegexOptions.IgnoreCase), "{0}", text);
            return text;
        }
        finally
        {
            File.Delete(file);
        }
    }
}
