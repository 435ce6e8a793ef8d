using System;
using System.Collections.Concurrent;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

[Trait("Behaviour", "MEM-4")]
public sealed class GuestMemoryRemovalTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly HostMemory _host = HostMemory.AllocateAnonymous(0x4000);
    private readonly GuestMemory _memory = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public async Task Removal_returns_only_after_readers_that_could_see_the_region_have_left()
    {
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        var order = new ConcurrentQueue<string>();
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        Task reader = Task.Factory.StartNew(
            () =>
            {
                using (_memory.Domain.Enter())
                {
                    GuestMemoryMap map = _memory.Current;
                    inside.Set();
                    leave.Wait(Limit);
                    map.TryGetWindow(0x1000, 4, out GuestWindow window).Should().BeTrue("the map that was read stays valid inside the scope");
                    window.Write(0, 0x1234);
                    order.Enqueue("reader left");
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default);
        inside.Wait(Limit).Should().BeTrue();
        var remover = Task.Run(() =>
        {
            _memory.Remove(region);
            order.Enqueue("removed");
        });

        // New readers see the region gone while the removal still waits.
        SpinWait.SpinUntil(() => _memory.Current.Regions.Count == 0, Limit).Should().BeTrue();
        _memory.TryReadUInt32(0x1000, out _).Should().BeFalse();
        remover.IsCompleted.Should().BeFalse();
        leave.Set();
        await Task.WhenAll([reader, remover]).WaitAsync(Limit);
        order.Should().Equal("reader left", "removed");
    }

    [Fact]
    public void Memory_cannot_be_changed_from_inside()
    {
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        using (_memory.Domain.Enter())
        {
            _memory.Invoking(m => m.Remove(region)).Should().Throw<InvalidOperationException>();
            _memory.Invoking(m => m.Add(0x4000, _host, 0, 0x1000)).Should().Throw<InvalidOperationException>();
        }

        _memory.Current.Regions.Should().Equal(region);
    }

    [Fact]
    public void A_region_is_removed_once()
    {
        GuestMemoryRegion region = _memory.Add(0x1000, _host, 0, 0x1000);
        _memory.Remove(region);
        _memory.Invoking(m => m.Remove(region)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void Regions_come_go_and_are_unmapped_while_readers_run()
    {
        // A use after unmapping would kill the process.
        bool stop = false;
        long reads = 0;
        _memory.Add(0x1000, _host, 0, 0x1000);
        Thread[] readers = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() =>
        {
            byte[] buffer = new byte[0x100];
            while (!Volatile.Read(ref stop))
            {
                if (!_memory.TryRead(0x1F80, buffer))
                {
                    _memory.TryWrite(0x1F80, buffer);
                }

                _memory.TryReadUInt64(0x2000, out ulong _);
                Interlocked.Increment(ref reads);
            }
        }))];
        Array.ForEach(readers, thread => thread.Start());
        for (int i = 0; i < 300 || Interlocked.Read(ref reads) < 300; i++)
        {
            using var extra = HostMemory.AllocateAnonymous(0x1000);
            GuestMemoryRegion region = _memory.Add(0x2000, extra, 0, 0x1000);
            _memory.TryWriteUInt64(0x2000, (ulong)i).Should().BeTrue();
            _memory.Remove(region);
        }

        Volatile.Write(ref stop, true);
        Array.ForEach(readers, thread => thread.Join(Limit).Should().BeTrue());
        _memory.Current.Regions.Should().HaveCount(1);
    }
}
