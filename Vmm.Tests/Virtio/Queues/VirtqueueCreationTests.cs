using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

public sealed class VirtqueueCreationTests : IDisposable
{
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Theory]
    [Trait("Behaviour", "VTP-8")]
    [Trait("Behaviour", "MEM-1")]
    [InlineData(0, 0x1000, 0x2000, 0x3000, "size")]
    [InlineData(3, 0x1000, 0x2000, 0x3000, "power of two")]
    [InlineData(65535, 0x1000, 0x2000, 0x3000, "power of two")]
    [InlineData(16, 0x1008, 0x2000, 0x3000, "aligned to 16")]
    [InlineData(16, 0x1000, 0x2001, 0x3000, "aligned to 2")]
    [InlineData(16, 0x1000, 0x2000, 0x3002, "aligned to 4")]
    [InlineData(16, 0x200000, 0x2000, 0x3000, "descriptor table")]
    [InlineData(16, 0xffff0, 0x2000, 0x3000, "descriptor table")]
    [InlineData(16, 0xfffffffffffffff0, 0x2000, 0x3000, "descriptor table")]
    [InlineData(16, 0x1000, 0x1ffff0, 0x3000, "available ring")]
    [InlineData(16, 0x1000, 0xfffffffffffffffe, 0x3000, "available ring")]
    [InlineData(16, 0x1000, 0x2000, 0xffff0, "used ring")]
    [InlineData(16, 0x1000, 0x2000, 0xfffffffffffffffc, "used ring")]
    public void What_cannot_work_is_refused_with_a_reason(int size, ulong descriptors, ulong available, ulong used, string reason)
    {
        var configuration = new VirtqueueConfiguration
        {
            Index = 0,
            Size = (ushort)size,
            Descriptors = descriptors,
            Driver = available,
            Device = used,
            Features = 0,
        };
        BareRing.TryCreate(configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? actual).Should().BeFalse();
        queue.Should().BeNull();
        actual.Should().Contain(reason);
    }

    [Theory]
    [Trait("Behaviour", "VTP-8")]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(32768)]
    public void Sizes_from_1_to_32768_work(int size)
    {
        using var ram = new GuestRam();
        var driver = new SplitRingDriver(ram, (ushort)size);
        BareRing.TryCreate(driver.Configuration, ram.Dma, _interrupt, out Virtqueue? queue, out string? reason).Should().BeTrue(reason);
        ulong data = ram.Allocate(4);
        var chain = new DescriptorChain();
        for (int round = 0; round < 3; round++)
        {
            driver.Add(GuestBuffer.Writable(data, 4));
            driver.Publish();
            using (queue!.Enter())
            {
                queue.TryPop(chain).Should().BeTrue();
                queue.Complete(chain, 4);
            }

            driver.TryTakeUsed(out _, out _).Should().BeTrue();
        }
    }
}
