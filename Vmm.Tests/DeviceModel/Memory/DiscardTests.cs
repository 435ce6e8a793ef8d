using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>Pages that the guest gives back: whose memory they leave, and when they stay.</summary>
[Trait("Behaviour", "MEM-7")]
public sealed class DiscardTests : IDisposable
{
    private const ulong Page = 4096;

    private readonly GuestRam _ram = new((0, 16 * Page), (16 * Page, 16 * Page), (64 * Page, 16 * Page));

    public void Dispose() => _ram.Dispose();

    [Fact]
    public void A_page_that_was_discarded_reads_zero_and_can_be_used_again()
    {
        _ram.Write(Page, 1u);
        _ram.Write(2 * Page, 2u);
        _ram.Memory.TryDiscard(Page, Page).Should().BeTrue();
        _ram.Read<uint>(Page).Should().Be(0);
        _ram.Read<uint>(2 * Page).Should().Be(2);
        _ram.Write(Page, 3u);
        _ram.Read<uint>(Page).Should().Be(3);
    }

    [Fact]
    public void A_range_over_two_regions_that_touch_is_discarded_in_both()
    {
        _ram.Write(15 * Page, 1u);
        _ram.Write(16 * Page, 2u);
        _ram.Memory.TryDiscard(15 * Page, 2 * Page).Should().BeTrue();
        (_ram.Read<uint>(15 * Page), _ram.Read<uint>(16 * Page)).Should().Be((0, 0));
    }

    [Theory]
    [InlineData(31 * Page, 2 * Page)]
    [InlineData(32 * Page, Page)]
    [InlineData(79 * Page, 2 * Page)]
    [InlineData(0x8_0000_0000_0000, Page)]
    [InlineData(ulong.MaxValue - Page + 1, 2 * Page)]
    [InlineData(Page + 1, Page)]
    [InlineData(Page, Page + 1)]
    public void What_is_no_RAM_or_no_page_stays_as_it_is(ulong address, ulong length)
    {
        for (ulong page = 0; page < 32; page++)
        {
            _ram.Write(page * Page, 7u);
        }

        _ram.Memory.TryDiscard(address, length).Should().BeFalse();
        for (ulong page = 0; page < 32; page++)
        {
            _ram.Read<uint>(page * Page).Should().Be(7);
        }
    }

    [Fact]
    public void Of_shared_memory_the_pages_behind_the_descriptor_go()
    {
        using var shared = HostMemory.AllocateShared("discard", 4 * Page);
        using var other = HostMemory.MapDescriptor(shared.Descriptor, 0, 4 * Page, writable: true);
        GuestMemoryRegion region = _ram.Memory.Add(1 << 30, shared, 0, 4 * Page);
        _ram.Memory.TryWrite(1 << 30, [1, 2, 3]).Should().BeTrue();
        _ram.Memory.TryDiscard(1 << 30, Page).Should().BeTrue();
        byte[] seen = new byte[3];
        using var view = new GuestRam();
        GuestMemoryRegion again = view.Memory.Add(1 << 30, other, 0, 4 * Page);
        view.Memory.TryRead(1 << 30, seen).Should().BeTrue();
        seen.Should().Equal(0, 0, 0);
        view.Memory.TryDiscard(1 << 30, Page).Should().BeFalse("the mapping is of somebody else's descriptor");
        view.Memory.Remove(again);
        _ram.Memory.Remove(region);
    }

    [Fact]
    public void While_a_listener_has_the_memory_its_pages_stay()
    {
        _ram.Write(Page, 5u);
        using (_ram.Memory.AddListener(new RecordingMemoryListener()))
        {
            _ram.Memory.TryDiscard(Page, Page).Should().BeFalse("its device would go on with the page that it was given");
            _ram.Read<uint>(Page).Should().Be(5);
        }

        _ram.Memory.TryDiscard(Page, Page).Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "MEM-5")]
    public void What_was_discarded_is_marked()
    {
        var tracker = new RecordingDirtyTracker();
        _ram.Memory.DirtyTracker = tracker;
        _ram.Memory.TryDiscard(Page, 2 * Page);
        tracker.Marks.Should().Equal((Page, 2 * Page));
    }
}
