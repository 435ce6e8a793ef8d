using System;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.PackedRingDriver;
using static Vmm.Testing.Rings.RingDriver;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>What a hostile driver can put into a packed ring only: laps that do not fit, and tables in the middle of a chain.</summary>
[Trait("Behaviour", "VQ-2")]
public sealed class PackedMalformedRingTests : IDisposable
{
    private const ushort Size = 6;
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly CountingVector _interrupt = new();
    private readonly DescriptorChain _chain = new(1);
    private readonly PackedRingDriver _driver;
    private readonly ulong _data;

    public PackedMalformedRingTests()
    {
        _driver = new PackedRingDriver(_ram, Size, RingFeatures.IndirectDescriptors);
        _data = _ram.Allocate(4096);
    }

    public void Dispose()
    {
        _ram.Dispose();
        _interrupt.Dispose();
    }

    [Fact]
    public void A_chain_that_goes_around_the_ring()
    {
        for (uint i = 0; i < Size; i++)
        {
            _driver.SetDescriptor(i, _data, 4, Next | Available);
        }

        BrokenRing.Expect(_driver, "loops");
    }

    [Fact]
    public void A_chain_that_continues_in_a_descriptor_that_is_not_available()
    {
        _driver.SetDescriptor(0, _data, 4, Next | Available);
        BrokenRing.Expect(_driver, "not available");
    }

    [Fact]
    public void A_chain_that_continues_in_a_descriptor_of_the_last_lap()
    {
        _driver.SetDescriptor(0, _data, 4, Next | Available);
        _driver.SetDescriptor(1, _data, 4, Used);
        BrokenRing.Expect(_driver, "not available");
    }

    [Fact]
    public void Indirect_at_the_end_of_a_chain()
    {
        _driver.SetChain(new(_data, 16, Next), new(_data, 16, Indirect));
        BrokenRing.Expect(_driver, "with NEXT");
    }

    [Fact]
    public void Descriptors_that_are_available_anew_before_they_were_used()
    {
        BareRing.TryCreate(_driver.Configuration, _ram.Dma, _interrupt, out Virtqueue? queue, out string? refused).Should().BeTrue(refused);
        for (uint i = 0; i < Size; i++)
        {
            _driver.SetDescriptor(i, _data, 4, Available);
        }

        using (queue!.Enter())
        {
            for (int i = 0; i < Size; i++)
            {
                queue.TryPop(_chain).Should().BeTrue();
            }

            queue.TryPop(_chain).Should().BeFalse();
            queue.IsBroken.Should().BeFalse();
            _driver.SetDescriptor(0, _data, 4, Used);
            queue.TryPop(_chain).Should().BeFalse();
        }

        queue.BrokenReason.Should().Contain("more descriptors are available");
    }

    [Theory]
    [Trait("Behaviour", "VQ-6")]
    [InlineData(0x8000, 0x8000, 5)] // nothing is taken
    [InlineData(0x8003, 0x8003, 5)]
    [InlineData(0x0000, 0x8000, 0)] // everything is
    [InlineData(0x0003, 0x8003, 0)]
    [InlineData(0x8003, 0x0003, 0)]
    [InlineData(0x8004, 0x8001, 2)]
    [InlineData(0x0002, 0x8003, 1)]
    [InlineData(0x8002, 0x0004, 2)]
    public void A_restored_ring_knows_how_many_descriptors_are_taken(int available, int used, int free)
    {
        using var ram = new GuestRam();
        var driver = new PackedRingDriver(ram, 5);
        var state = new VirtqueueState { AvailableIndex = (ushort)available, UsedIndex = (ushort)used };
        BareRing.TryCreate(driver.Configuration with { State = state }, ram.Dma, _interrupt, out Virtqueue? queue, out string? reason)
            .Should().BeTrue(reason);
        var chain = new DescriptorChain();
        uint place = (uint)available & 0x7fff;
        bool wrap = available >= 0x8000;
        for (int i = 0; i <= free; i++)
        {
            driver.SetDescriptor(place, 0x1000, 4, wrap ? Available : Used);
            using (queue!.Enter())
            {
                queue.TryPop(chain).Should().Be(i < free, $"{i} of {free}");
            }

            place = (place + 1) % 5;
            wrap ^= place == 0;
        }

        queue!.BrokenReason.Should().Contain("more descriptors are available");
    }
}
