using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Requests that have ended are told to the driver, also while the back-end takes its time over the request that comes next (CON-2, IO-4).</summary>
[Trait("Behaviour", "CON-2")]
public sealed class SlowSubmitTests
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    [Theory]
    [BothForms]
    public void Requests_that_have_ended_interrupt_while_the_next_is_stuck_in_the_back_end(RingForm form)
    {
        using var gate = new ManualResetEventSlim();
        int submitted = 0;
        using VirtioDeviceRig disk = Open(form, request =>
        {
            if (++submitted == 4)
            {
                gate.Wait(Long);
            }

            request.Complete(BlockStatus.Ok);
        });
        for (int i = 0; i < 4; i++)
        {
            Add(disk, In);
        }

        disk.Kick();

        disk.Vectors[0].Wait(Eventually.Patience).Should().BeTrue("three requests have ended");
        for (int i = 0; i < 3; i++)
        {
            disk.Drivers[0].TryTakeUsed(out _, out _).Should().BeTrue();
        }

        disk.Drivers[0].HasUsed.Should().BeFalse();
        gate.Set();
        disk.WaitUsed();
    }

    [Fact]
    public void Requests_that_have_ended_interrupt_nobody_who_asked_for_no_interrupt()
    {
        using var gate = new ManualResetEventSlim();
        using var stuck = new ManualResetEventSlim();
        int submitted = 0;
        using VirtioDeviceRig disk = Open(RingForm.Split, request =>
        {
            if (++submitted == 4)
            {
                stuck.Set();
                gate.Wait(Long);
            }

            request.Complete(BlockStatus.Ok);
        });
        disk.Drivers[0].SetUsedEvent(100);
        for (int i = 0; i < 4; i++)
        {
            Add(disk, In);
        }

        disk.Kick();
        stuck.Wait(Long).Should().BeTrue();
        Thread.Sleep(50);
        disk.Vectors[0].Count.Should().Be(0);
        gate.Set();
    }

    [Fact]
    public void Requests_that_have_ended_are_used_before_another_takes_its_next_step()
    {
        using var gate = new ManualResetEventSlim();
        using var flushing = new ManualResetEventSlim();
        List<BlockRequest> held = [];
        using VirtioDeviceRig disk = Open(RingForm.Split, writesThrough: true, onSubmit: request =>
        {
            switch (request.Operation)
            {
                case BlockOperation.Flush:
                    flushing.Set();
                    gate.Wait(Long);
                    request.Complete(BlockStatus.Ok);
                    break;
                default:
                    // All of them end together, the write first: its flush is still to come.
                    held.Add(request);
                    if (held.Count == 3)
                    {
                        held.ForEach(static one => one.Complete(BlockStatus.Ok));
                    }

                    break;
            }
        });
        uint write = Add(disk, Out);
        uint[] reads = [Add(disk, In), Add(disk, In)];
        disk.Kick();
        flushing.Wait(Long).Should().BeTrue();

        disk.Vectors[0].Wait(Eventually.Patience).Should().BeTrue("two reads have ended");
        List<uint> used = [];
        while (disk.Drivers[0].TryTakeUsed(out uint id, out _))
        {
            used.Add(id);
        }

        used.Should().BeEquivalentTo(reads);
        gate.Set();
        disk.WaitUsed().Id.Should().Be(write);
    }

    [Fact]
    public void A_queue_that_was_taken_away_is_not_told_of_what_had_ended_there()
    {
        using var gate = new ManualResetEventSlim();
        using var stuck = new ManualResetEventSlim();
        for (int round = 0; round < 20; round++)
        {
            gate.Reset();
            stuck.Reset();
            int submitted = 0;
            using VirtioDeviceRig disk = Open(RingForm.Split, stopLimit: TimeSpan.Zero, onSubmit: request =>
            {
                if (++submitted == 2)
                {
                    stuck.Set();
                    gate.Wait(Long);
                }

                request.Complete(BlockStatus.Ok);
            });
            Add(disk, In);
            Add(disk, In);
            disk.Kick();
            stuck.Wait(Long).Should().BeTrue();
            disk.Device.Reset();
            int told = disk.Vectors[0].Count;
            Thread.Sleep(5);
            disk.Vectors[0].Count.Should().Be(told);
            gate.Set();
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-8")]
    public void An_interrupt_of_the_embedders_that_throws_on_the_timer_breaks_the_queue_and_nothing_else()
    {
        using var told = new ManualResetEventSlim();
        var owed = new OwedInterrupt(new ThrowingVector(), failure =>
        {
            failure.Should().BeOfType<ObjectDisposedException>();
            told.Set();
        });
        owed.Open();
        owed.Owe();

        told.Wait(Long).Should().BeTrue();
        var closing = new Thread(owed.Close);
        closing.Start();
        closing.Join(Long).Should().BeTrue("what threw is not running any more");
    }

    private static VirtioDeviceRig Open(
        RingForm form, Action<BlockRequest> onSubmit, bool writesThrough = false, TimeSpan? stopLimit = null)
    {
        var options = new BlockDeviceOptions { StopLimit = stopLimit ?? TimeSpan.FromMilliseconds(100) };
        var device = new BlockDevice(new SubmittedBlockBackend(onSubmit), options);
        ulong features = device.OfferedFeatures | (form == RingForm.Packed ? RingFeatures.Packed : 0);
        if (writesThrough)
        {
            // Neither FLUSH nor CONFIG_WCE (5.2.5.2).
            features &= ~((1UL << 9) | (1UL << 11));
        }

        return new VirtioDeviceRig(device, features: features).Start();
    }

    private static uint Add(VirtioDeviceRig disk, uint type)
    {
        GuestBuffer data = type == In ? Writable(disk.Ram.Allocate(512), 512) : Readable(disk.Ram.Allocate(512), 512);
        return disk.Drivers[0].Add(Readable(disk.Ram.Place(Header(type, 0)), 16), data, Writable(disk.Ram.Allocate(1), 1));
    }

    private sealed class ThrowingVector : IInterruptVector
    {
        public void Signal() => throw new ObjectDisposedException("the embedder's");

        public EventFd GetEventFd() => throw new NotSupportedException();
    }
}
