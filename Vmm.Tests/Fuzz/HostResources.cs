using System;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace Vmm.Tests.Fuzz;

/// <summary>What machines take of the host: eventfds, epolls, files, threads.</summary>
internal sealed record HostResources(int Descriptors, int Threads)
{
    public static HostResources Now()
    {
        // The runtime opens its own source of random bytes at the first use and keeps it.
        _ = Guid.NewGuid();
        int descriptors = Directory.GetFiles("/proc/self/fd").Select(Target).Count(static t =>
            t.Contains("eventfd", StringComparison.Ordinal) || t.Contains("vmm-fuzz-", StringComparison.Ordinal)
            || t.Contains("/dev/urandom", StringComparison.Ordinal) || t.Contains("memfd:fuzz", StringComparison.Ordinal));
        int threads = Directory.GetDirectories("/proc/self/task").Count(static t => Name(t).Contains("fz", StringComparison.Ordinal));
        return new HostResources(descriptors, threads);
    }

    /// <summary>Names, states and waits of all threads of the process.</summary>
    public static string DescribeThreads()
    {
        var text = new StringBuilder();
        foreach (string task in Directory.GetDirectories("/proc/self/task"))
        {
            string state = Read(Path.Combine(task, "stat")).Split(')')[^1].Trim().Split(' ')[0];
            text.Append(CultureInfo.InvariantCulture, $"  {Name(task)} {state} {Read(Path.Combine(task, "wchan"))}\n");
        }

        return text.ToString();
    }

    /// <summary>What is left that was not there before, or null.</summary>
    public string? Compare(FuzzSeams seams)
    {
        if (seams.Slots != 0 || seams.Doorbells != 0)
        {
            return $"{seams.Slots} memory slots and {seams.Doorbells} doorbells are left of a machine that is gone";
        }

        // A thread that was joined is listed for a moment longer.
        HostResources now = Now();
        for (int i = 0; i < 50 && (now.Descriptors > Descriptors || now.Threads > Threads); i++)
        {
            System.Threading.Thread.Sleep(20);
            now = Now();
        }

        return now.Descriptors > Descriptors || now.Threads > Threads ? $"a machine that is gone left something: {this} before, {now} after" : null;
    }

    private static string Target(string link)
    {
        return Try(() => File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName ?? "");
    }

    private static string Name(string task) => Read(Path.Combine(task, "comm")).Trim();

    private static string Read(string path) => Try(() => File.ReadAllText(path));

    /// <summary>What was listed may be gone when it is looked at.</summary>
    private static string Try(Func<string> read)
    {
        string text = "";
        ExceptionWatch.Expecting(() =>
        {
            try
            {
                text = read();
            }
            catch (IOException)
            {
            }
        });
        return text;
    }
}
