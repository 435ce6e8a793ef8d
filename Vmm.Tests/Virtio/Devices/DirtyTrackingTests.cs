using System;
using System.Collections.Generic;
using System.IO.Pipes;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Bytes that devices write into their rings and buffers, or have the kernel write, are marked dirty.</summary>
[Trait("Behaviour", "MEM-5")]
public sealed class DirtyTrackingTests
{
    private const int RamLength = 4 << 20;

    private readonly GuestRam _ram = new((0, RamLength));

    [Fact]
    public void Block_reads_by_the_kernel_identifiers_and_statuses()
    {
        byte[] content = [.. Enumerable.Range(0, 1 << 16).Select(i => (byte)((i * 13) | 1))];
        using var file = new TemporaryFile(content);
        using VirtioDeviceRig disk = Harness(new BlockDevice(RawFileBackend.Open(file.Path, false), new BlockDeviceOptions { Serial = "serial" }));
        ulong data = _ram.Allocate(1 << 15, 4096);
        ulong status = _ram.Place([0xaa, 0xaa, 0xaa, 0xaa]);
        disk.Drivers[0].Add(Header(BlockRequests.In), Writable(data + 77, 5000), Writable(data + 10000, 3192), Writable(status, 1));
        disk.Drivers[0].Add(Header(BlockRequests.GetId), Writable(data + 20000, 20), Writable(status + 1, 1));
        disk.Drivers[0].Add(Header(BlockRequests.Out), Readable(_ram.Place(new byte[512]), 512), Writable(status + 2, 1));
        disk.Drivers[0].Add(Header(77), Writable(status + 3, 1));
        int[] changed = Run(disk, 0, used: 4);
        changed.Should().Contain([(int)data + 77, (int)data + 5076, (int)data + 13191, (int)data + 20005, (int)status, (int)status + 3]);
    }

    [Fact]
    public void Entropy_that_the_kernel_reads()
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.Out);
        string path = $"/proc/self/fd/{pipe.ClientSafePipeHandle.DangerousGetHandle()}";
        using VirtioDeviceRig rng = Harness(new EntropyDevice(new EntropyDeviceOptions { Source = path }));
        ulong place = _ram.Allocate(100);
        pipe.Write([1, 2, 3, 4]);
        rng.Drivers[0].Add(Writable(place, 2), Writable(place + 50, 50));
        Run(rng, 0, used: 1).Should().Contain([(int)place, (int)place + 1, (int)place + 50, (int)place + 51]);
    }

    [Fact]
    public void Received_packets_also_one_that_is_dropped_and_one_that_has_to_wait()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = Harness(new NetDevice(backend), features: 1UL << 15);
        ulong place = _ram.Allocate(4000);
        backend.Arrive([.. Enumerable.Repeat((byte)7, 900)], flags: 1);
        backend.Arrive([.. Enumerable.Repeat((byte)9, 500)]);
        backend.Arrive([.. Enumerable.Repeat((byte)8, 3500)]);
        net.Drivers[0].Add(Writable(place, 300), Writable(place + 300, 300));
        net.Drivers[0].Add(Writable(place + 1000, 600));
        net.Drivers[0].Add(Writable(place + 2000, 600));
        int[] changed = Run(net, 0, used: 1, () => backend.Waiting == 0);
        changed.Should().Contain([(int)place + 20, (int)place + 400, (int)place + 1100, (int)place + 2599]);
        ((NetDevice)net.Device).ReceiveDropped.Should().Be(2);
    }

    [Fact]
    public void Answers_to_control_commands()
    {
        using VirtioDeviceRig net = Harness(new NetDevice(new FakeNetBackend()));
        ulong answer = _ram.Place([0xaa]);
        net.Drivers[2].Add(Readable(_ram.Place([0, 0, 1]), 3), Writable(answer, 1));
        Run(net, 2, used: 1).Should().Contain((int)answer);
    }

    private VirtioDeviceRig Harness(VirtioDevice device, ulong? features = null)
    {
        var harness = new VirtioDeviceRig(device, _ram, features);
        return harness.Start();
    }

    private GuestBuffer Header(uint type) => Readable(_ram.Place(BlockRequests.Header(type, 0)), 16);

    /// <summary>Has the device do what was added, and looks at what it changed.</summary>
    private int[] Run(VirtioDeviceRig harness, int queue, int used, Func<bool>? until = null)
    {
        var driver = (SplitRingDriver)harness.Drivers[queue];
        var check = new DirtyCheck(_ram, RamLength);
        driver.Publish();
        harness.Signal(queue);
        Eventually.Holds(() => driver.UsedIndex == used && (until?.Invoke() ?? true), "the device does it");
        harness.Device.StopQueue(queue);
        (HashSet<int> marked, List<int> changed) = check.End();
        changed.RemoveAll(address => (ulong)address == driver.Driver + 2);
        changed.Should().BeSubsetOf(marked, "the available index is the driver's, all else the device's");
        marked.Count.Should().BeLessThan(20_000);
        return [.. changed];
    }
}
