using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>What is true of every ring that a driver breaks.</summary>
internal static class BrokenRing
{
    /// <summary>The ring latches as broken when the device looks at it, and stays so.</summary>
    public static void Expect(RingDriver driver, string reason)
    {
        using var interrupt = new CountingVector();
        var chain = new DescriptorChain(1);
        BareRing.TryCreate(driver.Configuration, driver.Ram.Dma, interrupt, out Virtqueue? queue, out string? refused).Should().BeTrue(refused);
        driver.Publish();
        for (int i = 0; i < 3; i++)
        {
            using (queue!.Enter())
            {
                queue.TryPop(chain).Should().BeFalse();
                queue.EnableKicksAndCheckForMore().Should().BeFalse("a broken ring never asks to be looked at again");
            }
        }

        queue!.IsBroken.Should().BeTrue();
        queue.BrokenReason.Should().Contain(reason);
        driver.HasUsed.Should().BeFalse();

        // What the driver mends afterwards does not count: only a reset helps.
        driver.SetChain(new RawDescriptor(driver.Ram.Allocate(16), 4));
        driver.Publish();
        using (queue.Enter())
        {
            queue.TryPop(chain).Should().BeFalse();
        }
    }
}
