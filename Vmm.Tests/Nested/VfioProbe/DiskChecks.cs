using System;
using System.Security.Cryptography;
using Vmm.Pci.Access;
using Vmm.Vfio.Kernel;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Nested.VfioProbe;

/// <summary>Drives a virtio disk from user space, each way of completion.</summary>
internal static class DiskChecks
{
    public static void Run(string path, string digest)
    {
        using VfioPciDevice device = new VfioHost().Attach(path);
        foreach (CompletionMode mode in Enum.GetValues<CompletionMode>())
        {
            using var access = new DeviceFunctionAccess(device);
            using (var disk = VirtioBlockDriver.Open(
                access, new VirtioDriverOptions { Completion = mode, Timeout = TimeSpan.FromSeconds(60) }))
            {
                byte[] content = new byte[disk.Capacity * VirtioBlockDriver.SectorSize];
                disk.Read(0, content);
                bool same = Convert.ToHexStringLower(SHA256.HashData(content)) == digest;
                byte[] sector = RandomNumberGenerator.GetBytes(VirtioBlockDriver.SectorSize);
                byte[] before = content.AsSpan(VirtioBlockDriver.SectorSize, sector.Length).ToArray();
                byte[] after = new byte[sector.Length];
                disk.Write(1, sector);
                disk.Flush();
                disk.Read(1, after);
                disk.Write(1, before);
                Console.WriteLine(
                    $"DISK-{mode} {disk.Driver.Completion} {(same ? "right" : "wrong")} "
                    + $"{(after.AsSpan().SequenceEqual(sector) ? "written" : "lost")}");
            }

            Console.WriteLine($"MAPPINGS-{mode} {device.Dma.Count}");
        }
    }
}
