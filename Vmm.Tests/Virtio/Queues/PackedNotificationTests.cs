using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>How the two sides of a packed ring ask for notifications: event suppression structures (virtio 1.2, 2.8.10).</summary>
[Trait("Behaviour", "VQ-5")]
public sealed class PackedNotificationTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Flags_alone_ask_for_every_notification_or_none(bool eventIndex)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedRingDriver(ram, 4, eventIndex ? RingFeatures.EventIndex : 0);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        var chain = new DescriptorChain();
        driver.DriverEvent = 1 << 16;
        Serve(driver, queue!, chain).Should().BeFalse("the driver wants none");
        driver.DriverEvent = 0;
        Serve(driver, queue!, chain).Should().BeTrue();
        using (queue!.Enter())
        {
            queue.NeedsInterrupt().Should().BeFalse("it was signalled already");
            queue.DisableKicks();
            driver.DeviceEvent.Should().Be(1 << 16);
            queue.EnableKicksAndCheckForMore().Should().BeFalse();
            driver.DeviceEvent.Should().Be(eventIndex ? 0x2_8002u : 0);
            driver.Add(Writable(0x1000, 4));
            driver.Publish();
            queue.EnableKicksAndCheckForMore().Should().BeTrue("a chain came meanwhile");
        }
    }

    [Theory]
    [InlineData(true, 0x0000_ffffu, true)] // enabled, whatever the place says
    [InlineData(true, 0x0001_8000u, false)]
    [InlineData(true, 0xfffd_8000u, false)] // bits 15:2 of the flags are reserved
    [InlineData(true, 0xfffc_8000u, true)]
    [InlineData(true, 0x0002_8000u, true)] // this very descriptor
    [InlineData(true, 0xfffe_8000u, true)]
    [InlineData(true, 0x0002_8001u, false)]
    [InlineData(true, 0x0002_0000u, false)]
    [InlineData(true, 0x0003_8001u, true)] // no such flags: rather one too many than one too few
    [InlineData(false, 0x0002_8001u, true)] // a place means nothing without VIRTIO_F_EVENT_IDX
    public void What_the_driver_asks_for_decides(bool eventIndex, uint wish, bool expected)
    {
        using var ram = new GuestRam();
        using var interrupt = new CountingVector();
        var driver = new PackedRingDriver(ram, 4, eventIndex ? RingFeatures.EventIndex : 0);
        BareRing.TryCreate(driver.Configuration, ram.Dma, interrupt, out Virtqueue? queue, out _).Should().BeTrue();
        driver.DriverEvent = wish;
        Serve(driver, queue!, new DescriptorChain()).Should().Be(expected);
    }

    private static bool Serve(PackedRingDriver driver, Virtqueue queue, DescriptorChain chain)
    {
        driver.Add(Writable(0x1000, 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeTrue();
            queue.Complete(chain, 4);
            driver.TryTakeUsed(out _, out _).Should().BeTrue();
            return queue.NeedsInterrupt();
        }
    }
}
