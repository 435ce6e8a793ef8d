using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Kvm;
using Vmm.Machine;

namespace Vmm.Tests.Nested.HotPlugHost;

/// <summary>What a machine and its process hold: the hypervisor's registrations, open descriptors, devices' threads.</summary>
internal sealed record HostResources(KvmResourceCounts Hypervisor, string Descriptors, string Threads)
{
    /// <summary>What is held now.</summary>
    public static HostResources Of(VirtualMachine machine) => new(machine.ResourceCounts, OpenFiles(), DeviceThreads());

    private static string OpenFiles()
    {
        IEnumerable<string> targets = Directory.GetFiles("/proc/self/fd").Select(Target).Where(static target => target.Length != 0);
        return Summary(targets.Select(static target => target.StartsWith("socket:", StringComparison.Ordinal) || target.StartsWith("pipe:", StringComparison.Ordinal)
            ? target.Split(':')[0] : target));
    }

    // Threads of the runtime come and go; those of devices are named after the device, all of them here "hot...".
    private static string DeviceThreads()
    {
        return Summary(Directory.GetDirectories("/proc/self/task").Select(static task => Read(Path.Combine(task, "comm")).Trim())
            .Where(static name => name.StartsWith("hot", StringComparison.Ordinal)));
    }

    private static string Summary(IEnumerable<string> items)
    {
        return string.Join(", ", items.GroupBy(static item => item).OrderBy(static group => group.Key, StringComparer.Ordinal).Select(static group => $"{group.Key} x{group.Count()}"));
    }

    private static string Target(string path)
    {
        string target = new FileInfo(path).LinkTarget ?? "";

        // The descriptor that lists the folder itself.
        return target.StartsWith("/proc/", StringComparison.Ordinal) ? "" : target;
    }

    private static string Read(string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (IOException)
        {
            // The thread has ended meanwhile.
            return "";
        }
    }
}
