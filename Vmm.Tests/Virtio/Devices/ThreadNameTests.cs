using System;
using System.IO;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Who manages a machine finds its threads by their names.</summary>
public sealed class ThreadNameTests
{
    [Theory]
    [InlineData(VirtioDeviceType.Block, "disk0", 0, "_disk0_q0")]
    [InlineData(VirtioDeviceType.Block, "root", 3, "_disk_root_q3")]
    [InlineData(VirtioDeviceType.Block, "", 0, "_disk_q0")]
    [InlineData(VirtioDeviceType.Net, "net_0", 1, "_net_0_q1")]
    [InlineData(VirtioDeviceType.Net, "lan", 0, "_net_lan_q0")]
    [InlineData(VirtioDeviceType.Entropy, "rng", 0, "_rng_q0")]
    [InlineData(VirtioDeviceType.Console, "console", 0, "_console_q0")]
    [InlineData(VirtioDeviceType.Balloon, "balloon", 0, "_balloon_q0")]
    [InlineData((VirtioDeviceType)18, "edu", 0, "_18_edu_q0")]
    public void The_kind_comes_first_and_is_not_said_twice(VirtioDeviceType type, string id, int worker, string name)
    {
        new BlockDeviceOptions { Id = id }.ThreadNameOf(type, worker).Should().Be(name);
    }

    [Fact]
    public void Threads_of_devices_that_run_have_them()
    {
        using VirtioDeviceRig disk = new VirtioDeviceRig(Disk("disk7t", queues: 2)).Start();
        using VirtioDeviceRig root = new VirtioDeviceRig(Disk("root7t", queues: 1)).Start();
        using VirtioDeviceRig data = new VirtioDeviceRig(Disk("data7t-and-more", queues: 1)).Start();
        using VirtioDeviceRig net = new VirtioDeviceRig(new NetDevice(new FakeNetBackend(), new NetDeviceOptions { Id = "net7t" })).Start();
        using VirtioDeviceRig rng = new VirtioDeviceRig(new EntropyDevice(new EntropyDeviceOptions { Id = "rng7t" })).Start();

        string[] expected = ["_disk7t_q0", "_disk7t_q1", "_disk_root7t_q0", "_disk_data7t-an", "_net7t_q0", "_rng7t_q0"];
        Eventually.Holds(() => expected.All(Names().Contains), string.Join(", ", expected));
    }

    private static BlockDevice Disk(string id, int queues) =>
        new(new SubmittedBlockBackend(static request => request.Complete(BlockStatus.Ok)), new BlockDeviceOptions { Id = id, QueueCount = queues });

    private static string[] Names()
    {
        return [.. Directory.GetDirectories("/proc/self/task").Select(static task =>
        {
            try
            {
                return File.ReadAllText(Path.Combine(task, "comm")).TrimEnd('\n');
            }
            catch (IOException)
            {
                // The thread has ended meanwhile.
                return "";
            }
        })];
    }
}
