using System;
using System.Threading;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The path that a back-end has for a queue is closed when nobody is in it any more.</summary>
public sealed class BlockPathTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Fact]
    [Trait("Behaviour", "CON-3")]
    public void A_path_stays_open_under_a_worker_that_is_in_it_with_nothing_in_flight()
    {
        using var entered = new ManualResetEventSlim();
        using var gate = new ManualResetEventSlim();
        var backend = new HeldBlockBackend(hasQueues: true);
        var device = new BlockDevice(backend, new BlockDeviceOptions { StopLimit = TimeSpan.FromMilliseconds(10) });
        using VirtioDeviceRig disk = new VirtioDeviceRig(device).Start();
        backend.OpenQueues.Should().Be(1);
        backend.OnCommit = () =>
        {
            entered.Set();
            gate.Wait(Long);
        };
        disk.Signal();
        entered.Wait(Long).Should().BeTrue("a kick makes the worker look");

        device.Reset();

        backend.OpenQueues.Should().Be(1, "the worker is in it");
        gate.Set();
        Eventually.Holds(() => backend.OpenQueues == 0, "the worker closes it");
    }
}
