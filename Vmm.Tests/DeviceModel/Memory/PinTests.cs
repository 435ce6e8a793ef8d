using System;
using System.IO;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>RAM under a device's I/O is not removed, and never unmapped (CON-2).</summary>
[Trait("Behaviour", "CON-2")]
[Trait("Behaviour", "MEM-4")]
public sealed class PinTests : IDisposable
{
    private static readonly TimeSpan Long = TimeSpan.FromSeconds(60);

    private readonly HostMemory _host = HostMemory.AllocateAnonymous(0x4000);
    private readonly GuestMemory _memory = new() { PinLimit = TimeSpan.FromMilliseconds(50) };

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_removal_under_IO_is_refused_and_leaves_everything_as_it_is()
    {
        var listener = new RecordingMemoryListener();
        using IDisposable listening = _memory.AddListener(listener);
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        GuestMemoryRegion other = _memory.Add(0x8000, _host, 0x1000, 0x1000);
        GuestMemoryMap map = _memory.Current;
        Pin(region);

        HostException refusal = _memory.Invoking(m => m.Remove(region)).Should().Throw<PinnedMemoryException>().Which;
        refusal.Message.Should().Contain("0x1000").And.Contain("1 requests");
        refusal.Step.Should().Be("remove");
        _memory.Current.Should().BeSameAs(map, "no ring notices");
        listener.Calls.Should().Equal("+1000", "+8000");

        _memory.Remove(other);
        region.Unpin();
        _memory.Remove(region);
        _memory.Current.Regions.Should().BeEmpty();
    }

    [Fact]
    public async Task A_removal_waits_for_IO_that_ends_in_time()
    {
        _memory.PinLimit = Long;
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        Pin(region);
        Pin(region);
        var removal = Task.Run(() => _memory.Remove(region));
        region.Unpin();
        region.PinCount.Should().Be(1);
        removal.IsCompleted.Should().BeFalse();
        _memory.TryReadUInt32(0x1000, out _).Should().BeTrue("it is there until nobody uses it");

        region.Unpin();
        await removal.WaitAsync(Long);
        _memory.Current.Regions.Should().BeEmpty();
    }

    [Fact]
    public async Task A_pin_that_is_taken_inside_a_scope_while_the_region_goes_is_waited_for()
    {
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        using var inside = new ManualResetEventSlim();
        using var pin = new ManualResetEventSlim();
        Task device = Task.Factory.StartNew(
            () =>
            {
                using (_memory.Domain.Enter())
                {
                    inside.Set();
                    pin.Wait(Long);
                    region.Pin();
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        inside.Wait(Long).Should().BeTrue();
        var removal = Task.Run(() => _memory.Remove(region));
        SpinWait.SpinUntil(() => _memory.Current.Regions.Count == 0, Long).Should().BeTrue();
        pin.Set();
        await device.WaitAsync(Long);

        await removal.Invoking(r => r.WaitAsync(Long)).Should().ThrowAsync<PinnedMemoryException>();
        _memory.Current.Regions.Should().Equal(region);
        region.Unpin();
    }

    [Fact]
    public unsafe void A_mapping_is_unmapped_when_the_last_IO_into_it_has_ended()
    {
        string name = $"pinned-{Guid.NewGuid():n}";
        var host = HostMemory.AllocateShared(name, 0x2000);
        GuestMemoryRegion first = _memory.Add(0x1000, host, 0, 0x1000);
        GuestMemoryRegion second = _memory.Add(0x8000, host, 0x1000, 0x1000);
        byte* bytes = host.Pointer;
        Pin(first);
        Pin(second);

        host.Dispose();
        host.Dispose();
        host.Invoking(h => _ = h.Pointer == null).Should().Throw<ObjectDisposedException>();
        bytes[0x1fff] = 1;
        first.Unpin();
        bytes[0x1fff]++;
        bytes[0x1fff].Should().Be(2, "the other region is pinned still");
        File.ReadAllText("/proc/self/maps").Should().Contain(name);

        second.Unpin();
        File.ReadAllText("/proc/self/maps").Should().NotContain(name);
    }

    [Fact]
    public void RAM_under_IO_stays_with_the_processors_when_its_removal_is_refused()
    {
        var space = new AddressSpace(new AddressSpaceOptions { Name = "memory" });
        var ram = new SystemRam(space);
        ram.Memory.PinLimit = TimeSpan.FromMilliseconds(20);
        GuestMemoryRegion region = ram.Add(0, _host);
        using (ram.Memory.Domain.Enter())
        {
            region.Pin();
        }

        ram.Invoking(r => r.Remove(region)).Should().Throw<PinnedMemoryException>();
        space.Segments.Should().HaveCount(1);
        ram.Memory.Current.Regions.Should().Equal(region);

        ram.Dispose();
        space.Segments.Should().BeEmpty("the end of a machine takes it from the processors all the same");
        region.Unpin();
    }

    private void Pin(GuestMemoryRegion region)
    {
        using (_memory.Domain.Enter())
        {
            region.Pin();
        }
    }
}
