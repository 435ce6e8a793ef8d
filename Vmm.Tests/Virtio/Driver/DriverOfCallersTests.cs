using System;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>
/// What a driver leaves to its caller: memory of the caller's in requests, and eventfds to wait on. And what the close does beyond a reset.
/// </summary>
public sealed class DriverOfCallersTests
{
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(60);
    private static readonly VirtioDriverOptions _impatient = new() { Timeout = TimeSpan.FromMilliseconds(50) };

    [Fact]
    [Trait("Behaviour", "DRV-8")]
    public void Requests_use_memory_of_the_callers_as_it_lies_there()
    {
        using var disk = new DriverDisk();
        using var memory = HostMemory.AllocateAnonymous(0x8000);
        using var driver = VirtioBlockDriver.Open(disk);
        IDmaMapping mapping = driver.Driver.MapMemory(memory, 0x1000, 0x6000);
        Span<byte> all = memory.GetSpan(0x8000);
        byte[] wanted = [.. Enumerable.Range(0, 1024).Select(i => (byte)(i * 5))];
        wanted.CopyTo(all[0x1234..]);

        // Two pieces that start and end anywhere: what is written is gathered from them, what is read is scattered.
        DriverSegment[] pieces = [DriverSegment.Of(mapping, 0x234, 100, false), DriverSegment.Of(mapping, 0x298, 924, false)];
        Complete(driver.Queues[0], BlockRequestType.Write, 4, pieces);
        disk.File.Content.AsSpan(4 * 512, 1024).ToArray().Should().Equal(wanted);
        mapping.TryTranslate(all.Slice(0x5001, 1023), out ulong place).Should().BeTrue();
        Complete(
            driver.Queues[0], BlockRequestType.Read, 4, new DriverSegment(place, 1023, true), DriverSegment.Of(mapping, 0x5fff, 1, true));
        all.Slice(0x5001, 1023).ToArray().Should().Equal(wanted[..1023]);
        all[0x6fff].Should().Be(wanted[1023]);
        FluentActions.Invoking(() => DriverSegment.Of(mapping, 0x5fff, 2, true)).Should().Throw<ArgumentOutOfRangeException>();

        driver.Dispose();
        disk.Inner.Iovas.Count.Should().Be(0, "the close unmaps it");
        all[0x6fff].Should().Be(wanted[1023], "and leaves it to the caller");
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void Memory_of_the_callers_stays_mapped_and_there_if_the_device_does_not_stop()
    {
        using var disk = new DriverDisk();
        var memory = HostMemory.AllocateAnonymous(0x1000);
        var driver = VirtioBlockDriver.Open(disk, _impatient);
        driver.Driver.MapMemory(memory, 0, 0x1000);
        disk.OnRead = (offset, value) => offset == 0x14 ? 0x0f : value;
        driver.Dispose();
        driver.Driver.IsAbandoned.Should().BeTrue();
        disk.Inner.Iovas.Count.Should().Be(4);
        memory.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void Completions_signal_an_eventfd_that_the_caller_waits_on()
    {
        using var disk = new DriverDisk();
        using var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { HandsOutEvents = true });
        DriverQueue queue = driver.Queues[0].Queue;
        EventFd completed = queue.CompletionEvent!;
        driver.Driver.ConfigurationEvent.Should().NotBeNull().And.NotBeSameAs(completed);
        IDmaBuffer buffer = driver.Driver.MapBuffer(512);
        for (int i = 0; i < 50; i++)
        {
            driver.Queues[0].TrySubmit(BlockRequestType.Read, (ulong)i, [DriverSegment.Of(buffer, 0, 512, true)]).Should().NotBeNull();
            bool silent = queue.ArmInterrupt();
            driver.Queues[0].Notify();
            if (silent)
            {
                SpinWait.SpinUntil(() => completed.TryConsume(out _), _limit).Should().BeTrue();
            }

            driver.Queues[0].TryComplete(out _, out BlockStatus status).Should().BeTrue();
            status.Should().Be(BlockStatus.Ok);
            buffer.Span.ToArray().Should().Equal(disk.File.Content.AsSpan(i * 512, 512).ToArray());
            queue.DisarmInterrupt();
        }

        queue.Interrupts.Should().Be(0, "nothing of the driver's hears them");
        byte[] sector = new byte[512];
        driver.Read(7, sector);
        sector.Should().Equal(disk.File.Content.AsSpan(7 * 512, 512).ToArray(), "its own waits go on");
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void Without_vectors_there_is_no_eventfd_and_the_pin_serves()
    {
        using var disk = new DriverDisk { Messages = 0 };
        using var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { HandsOutEvents = true });
        driver.Queues[0].Queue.CompletionEvent.Should().BeNull();
        driver.Driver.ConfigurationEvent.Should().BeNull();
        driver.Driver.Completion.Should().Be(CompletionMode.Pin);
        driver.Read(0, new byte[512]);
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void The_close_resets_the_function_after_interrupts_are_off_and_before_memory_goes()
    {
        using var disk = new DriverDisk { CanReset = true };
        VirtioBlockDriver.Open(disk).Dispose();
        disk.Steps.TakeLast(7).Should().Equal("no master", "status 0", "interrupts off", "function reset", "unmap", "unmap", "unmap");

        // The function decodes where it did: it can be driven anew.
        using var again = VirtioBlockDriver.Open(disk);
        byte[] sector = new byte[512];
        again.Read(3, sector);
        sector.Should().Equal(disk.File.Content.AsSpan(3 * 512, 512).ToArray());
    }

    [Fact]
    [Trait("Behaviour", "DRV-7")]
    public void A_device_that_does_not_stop_is_stopped_by_a_reset_of_its_function()
    {
        using var disk = new DriverDisk { CanReset = true };
        var driver = VirtioBlockDriver.Open(disk, _impatient);
        disk.OnRead = (offset, value) => offset == 0x14 ? 0x0f : value;
        driver.Dispose();
        driver.Driver.IsAbandoned.Should().BeFalse();
        disk.Inner.Iovas.Count.Should().Be(0);
    }

    private static void Complete(BlockRequestQueue queue, BlockRequestType type, ulong sector, params DriverSegment[] data)
    {
        queue.TrySubmit(type, sector, data).Should().NotBeNull();
        queue.Notify();
        queue.WaitComplete(out BlockStatus status);
        status.Should().Be(BlockStatus.Ok);
    }
}
