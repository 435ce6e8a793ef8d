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

    // What a device or a machine can have open; the runtime opens assemblies and pipes of its own when it first needs them.
    private static string OpenFiles()
    {
        return Summary(Directory.GetFiles("/proc/self/fd").Select(static path => new FileInfo(path).LinkTarget ?? "").Where(static target =>
            target.StartsWith("anon_inode:", StringComparison.Ordinal) || target.StartsWith("/dev/", StringComparison.Ordinal)
            || target.Contains("/disk-", StringComparison.Ordinal)));
    }

    // Threads of the runtime come and go; those of devices have the device in their names, all of them here "hot...".
    private static string DeviceThreads()
    {
        return Summary(Directory.GetDirectories("/proc/self/task").Select(static task => Read(Path.Combine(task, "comm")).Trim())
            .Where(static name => name.Contains("hot", StringComparison.Ordinal)));
    }

    private static string Summary(IEnumerable<string> items)
    {
        return string.Join(", ", items.GroupBy(static item => item).OrderBy(static group => group.Key, StringComparer.Ordinal)
            .Select(static group => $"{group.Key} x{group.Count()}"));
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
