using System;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.RingDriver;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>What a hostile driver can put into a split ring only: indices that lead astray.</summary>
[Trait("Behaviour", "VQ-2")]
public sealed class SplitMalformedRingTests : IDisposable
{
    private const ushort Size = 8;
    private readonly GuestRam _ram = new((0, 1 << 20), (1 << 20, 1 << 20));
    private readonly SplitRingDriver _driver;
    private readonly ulong _data;

    public SplitMalformedRingTests()
    {
        _driver = new SplitRingDriver(_ram, Size, RingFeatures.IndirectDescriptors);
        _driver.AddHead(0);
        _data = _ram.Allocate(4096);
    }

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void A_chain_that_loops()
    {
        _driver.SetDescriptor(0, _data, 4, Next, 1);
        _driver.SetDescriptor(1, _data, 4, Next, 0);
        BrokenRing.Expect(_driver, "loops");
    }

    [Fact]
    public void A_chain_that_is_its_own_successor()
    {
        _driver.SetDescriptor(0, _data, 4, Next, 0);
        BrokenRing.Expect(_driver, "loops");
    }

    [Fact]
    public void A_head_outside_the_table()
    {
        _ram.Write(_driver.Driver + 4, Size);
        BrokenRing.Expect(_driver, "outside the table");
    }

    [Fact]
    public void A_next_outside_the_table()
    {
        _driver.SetDescriptor(0, _data, 4, Next, Size);
        BrokenRing.Expect(_driver, "leaves its descriptor table");
    }

    [Fact]
    public void A_next_outside_the_indirect_table()
    {
        _driver.SetDescriptorAt(_data, _data + 64, 4, Next, 2);
        _driver.SetDescriptorAt(_data + 32, _data + 64, 4, 0);
        _driver.SetDescriptor(0, _data, 32, Indirect);
        BrokenRing.Expect(_driver, "leaves its descriptor table");
    }

    [Fact]
    public void An_indirect_table_that_loops()
    {
        _driver.SetDescriptorAt(_data, _data + 64, 4, Next, 1);
        _driver.SetDescriptorAt(_data + 16, _data + 64, 4, Next, 0);
        _driver.SetDescriptor(0, _data, 32, Indirect);
        BrokenRing.Expect(_driver, "loops");
    }

    [Theory]
    [InlineData(9)]
    [InlineData(0x8000)]
    [InlineData(0xffff)]
    public void An_available_index_that_jumps(ushort index)
    {
        _driver.AvailableIndex = index;
        BrokenRing.Expect(_driver, "jumps");
    }
}
