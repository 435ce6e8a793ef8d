using System;
using Vmm.DeviceModel.Events;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

public sealed class AllocationTests
{
    [Theory]
    [Trait("Behaviour", "VQ-7")]
    [BothForms(false)]
    [BothForms(true)]
    public void Popping_walking_and_completing_allocate_nothing(RingForm form, bool indirect)
    {
        using var ram = new GuestRam((0, 1 << 20), (1 << 20, 1 << 20));
        using var interrupt = new CountingVector();
        var driver = RingDriver.Create(form, ram, 64, RingFeatures.IndirectDescriptors | RingFeatures.EventIndex);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var chain = new DescriptorChain();
        byte[] header = new byte[16];
        ulong table = ram.Allocate(48);
        long limit = Environment.TickCount64 + 60_000;
        long allocated = 0;
        for (int round = 0; round < 2000; round++)
        {
            // The second buffer lies across two regions.
            GuestBuffer[] buffers = [Readable(0x1000, 16), Writable((1 << 20) - 100, 4096), Writable(0x2000, 1)];
            if (indirect)
            {
                driver.AddIndirectAt(table, buffers);
            }
            else
            {
                driver.Add(buffers);
            }

            driver.Publish();
            long before = GC.GetAllocatedBytesForCurrentThread();
            Serve(queue!, chain, header);
            allocated += round >= 100 ? GC.GetAllocatedBytesForCurrentThread() - before : 0;
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
        }

        allocated.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VQ-7")]
    public void A_block_request_allocates_nothing()
    {
        using var file = new TemporaryFile(1 << 20);
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        using var kick = new EventFd();
        using var device = new BlockDevice(RawFileBackend.Open(file.Path, false));
        using var harness = new VirtioDeviceRig(device, ram);
        device.OnFeaturesNegotiated(device.OfferedFeatures);
        device.Start(device.OfferedFeatures, harness);
        var driver = new SplitRingDriver(ram, 64, device.OfferedFeatures);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var handler = new BlockRequestHandler(device, queue!);
        var detached = new DetachedRequests(1, static () => { });
        handler.Bind(new QueueBinding(kick, harness, detached, TimeSpan.Zero, static _ => { }, static (_, _) => { }));
        using var worker = new Worker("never runs");
        handler.Start(worker);
        ulong header = ram.Place(new byte[16]);
        ulong data = ram.Allocate(4097);
        ulong table = ram.Allocate(48);
        long limit = Environment.TickCount64 + 60_000;
        long allocated = 0;
        for (int round = 0; round < 1000; round++)
        {
            ram.Write(header, round % 2);
            driver.AddIndirectAt(table, round % 2 == 0
                ? [Readable(header, 16), Writable(data, 4096), Writable(data + 4096, 1)]
                : [Readable(header, 16), Readable(data, 4096), Writable(data + 4096, 1)]);
            driver.Publish();
            long before = GC.GetAllocatedBytesForCurrentThread();
            do
            {
                // A write is the kernel's to end.
                handler.Run();
            }
            while (!driver.HasUsed && Environment.TickCount64 < limit);
            allocated += round >= 100 ? GC.GetAllocatedBytesForCurrentThread() - before : 0;
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            ram.Read<byte>(data + 4096).Should().Be(0);
        }

        allocated.Should().Be(0);
    }

    private static void Serve(Virtqueue queue, DescriptorChain chain, byte[] header)
    {
        using (queue.Enter())
        {
            queue.DisableKicks();
            while (queue.TryPop(chain))
            {
                chain.Readable.CopyTo(header);
                chain.Writable.Slice(1, 4000).CopyFrom(header);
                chain.Writable.Slice(chain.WritableLength - 1).Fill(0);
                queue.Complete(chain, (uint)chain.WritableLength);
            }

            queue.SignalIfNeeded();
            queue.EnableKicksAndCheckForMore();
        }
    }
}
