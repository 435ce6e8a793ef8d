using System;
using System.Buffers.Binary;
using System.Linq;
using System.Threading;
using Samples.Balloon;
using Vmm.Conformance;
using Vmm.DeviceModel.State;
using Vmm.Testing.Memory;
using Vmm.Testing.Rigs;
using Vmm.Testing.Rings;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Samples.Tests;

/// <summary>The balloon, from its driver's side (virtio 1.2, 5.5).</summary>
public sealed class BalloonTests : IDisposable
{
    private const int Inflate = 0;
    private const int Deflate = 1;
    private const int Statistics = 2;
    private const ulong StatisticsFeature = 1 << 1;

    private readonly GuestRam _ram = new();
    private readonly BalloonDevice _balloon;
    private readonly SemaphoreSlim _told = new(0);
    private VirtioDeviceRig _rig;

    public BalloonTests()
    {
        _balloon = new BalloonDevice(new BalloonOptions(), _ram.Memory);
        _balloon.StatisticsReceived += () => _told.Release();
        _rig = new VirtioDeviceRig(_balloon, _ram);
    }

    public void Dispose() => _rig.Dispose();

    [Fact]
    public void The_target_is_told_by_a_change_of_the_configuration()
    {
        _rig.Start();
        _balloon.SetTarget(5 * 4096 + 4095);
        Assert.Equal((5ul, 1), (_balloon.ReadConfiguration(0, 4), _rig.ConfigurationChanges));
        _balloon.WriteConfiguration(0, 4, 7);
        Assert.Equal(5ul, _balloon.ReadConfiguration(0, 4));
    }

    [Fact]
    public void The_driver_says_how_many_pages_it_gave()
    {
        _rig.Start();
        _balloon.WriteConfiguration(4, 4, 0x0102_0304);
        _balloon.WriteConfiguration(5, 1, 0xff);
        Assert.Equal(0x0102_ff04ul, _balloon.ReadConfiguration(4, 4));
        Assert.Equal(0x0102_ff04L * 4096, _balloon.Actual);
    }

    [Fact]
    public void Pages_that_are_inflated_go_back_to_the_host_and_no_others()
    {
        _rig.Start();
        ulong pages = _ram.Allocate(3 * 4096, 4096);
        for (ulong i = 0; i < 3; i++)
        {
            _ram.Write(pages + (i * 4096), 0x1122_3344u);
        }

        Assert.Equal(0u, _rig.Request(Inflate, Numbers(pages, pages + 8192)));
        Assert.Equal(2, _balloon.DiscardedPages);
        Assert.Equal((0u, 0x1122_3344u, 0u), (_ram.Read<uint>(pages), _ram.Read<uint>(pages + 4096), _ram.Read<uint>(pages + 8192)));
    }

    [Fact]
    public void Deflating_takes_nothing_from_the_guest()
    {
        _rig.Start();
        ulong page = _ram.Allocate(4096, 4096);
        _ram.Write(page, 7);
        Assert.Equal(0u, _rig.Request(Deflate, Numbers(page)));
        Assert.Equal((7, 0L), (_ram.Read<int>(page), _balloon.DiscardedPages));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(1023)]
    [InlineData(1025)]
    [InlineData(4 * 100_000)]
    public void A_request_of_any_length_ends(int length)
    {
        // Numbers of pages that are no RAM: from 0xffffffff on there is none.
        byte[] numbers = new byte[length + 1];
        numbers.AsSpan().Fill(0xff);
        _rig.Start();
        Assert.Equal(0u, _rig.Request(Inflate, GuestBuffer.Readable(_ram.Place(numbers), (uint)length + 1)));
        Assert.Equal(0, _balloon.DiscardedPages);
        Assert.Empty(_rig.ResetReasons);
    }

    [Fact]
    public void A_request_in_parts_discards_each_page_once()
    {
        _rig.Start();
        ulong pages = _ram.Allocate(1000 * 4096, 4096);
        ulong[] all = [.. Enumerable.Range(0, 1000).Select(i => pages + ((ulong)i * 4096))];
        _rig.Request(Inflate, Numbers(all));
        Assert.Equal(1000, _balloon.DiscardedPages);
    }

    [Fact]
    public void Statistics_come_when_they_are_asked_for_and_not_before()
    {
        _rig.Start();
        Assert.Null(_balloon.GetStatistic(5));
        ulong buffer = _ram.Place(Entries((5, 1UL << 30), (4, 0), (99, 1), (6, 77)));
        _rig.Drivers[Statistics].Add(GuestBuffer.Readable(buffer, 40));
        _rig.Kick(Statistics);
        Assert.True(_told.Wait(Eventually.Patience));
        Assert.Equal((1UL << 30, 0UL, 77UL), (_balloon.GetStatistic(5), _balloon.GetStatistic(4), _balloon.GetStatistic(6)));
        Assert.Null(_balloon.GetStatistic(0));
        Assert.False(_rig.Drivers[Statistics].HasUsed);

        _balloon.RequestStatistics();
        Assert.Equal(0u, _rig.WaitUsed(Statistics).Length);
        _ram.Write(buffer, Entries((4, 4096)));
        _rig.Drivers[Statistics].Add(GuestBuffer.Readable(buffer, 10));
        _rig.Kick(Statistics);
        Assert.True(_told.Wait(Eventually.Patience));
        Assert.Equal(4096UL, _balloon.GetStatistic(4));
    }

    [Fact]
    public void Notifications_without_an_end_are_no_new_statistics()
    {
        _rig.Start();
        _rig.Drivers[Statistics].Add(GuestBuffer.Readable(_ram.Place(Entries((4, 1))), 10));
        _rig.Kick(Statistics);
        Assert.True(_told.Wait(Eventually.Patience));
        for (int i = 0; i < 100; i++)
        {
            _rig.Signal(Statistics);
        }

        // The worker is through with them when it has answered on another queue.
        _rig.Request(Deflate, Numbers(0));
        Assert.Equal(0, _told.CurrentCount);
    }

    [Fact]
    public void A_buffer_that_waits_keeps_no_reset_waiting()
    {
        _rig.Start();
        _rig.Drivers[Statistics].Add(GuestBuffer.Readable(_ram.Place(Entries((4, 1))), 10));
        _rig.Kick(Statistics);
        Assert.True(_told.Wait(Eventually.Patience));
        VirtqueueState state = _balloon.StopQueue(Statistics)!;
        Assert.Equal(0, state.AvailableIndex);
        _balloon.RequestStatistics();
        _rig.StartQueue(Statistics, state);
        _balloon.RequestStatistics();
        _rig.WaitUsed(Statistics);
    }

    [Fact]
    public void Without_the_feature_there_are_no_statistics()
    {
        _rig = new VirtioDeviceRig(_balloon, _ram, _balloon.OfferedFeatures & ~StatisticsFeature).Start();
        _balloon.RequestStatistics();
        Assert.Equal(0u, _rig.Request(Deflate, Numbers(0)));
    }

    [Fact]
    public void What_was_saved_is_restored_into_another_and_shown()
    {
        _balloon.SetTarget(7 * 4096);
        _balloon.WriteConfiguration(4, 4, 3);
        SavedState saved = _balloon.Save();
        using var other = new BalloonDevice(new BalloonOptions(), _ram.Memory);
        other.PrepareRestore(saved)();

        Assert.Equal(saved.Data.GetRawText(), other.Save().Data.GetRawText());
        var node = new InspectionNode("balloon");
        other.Inspect(node);
        Assert.Equal(("0x00000007", "0x00000003"), (node.TextOf("num_pages"), node.TextOf("actual")));
        Assert.Throws<StateException>(() => other.PrepareRestore(saved with { Version = 2 }));
    }

    [Fact]
    public void Conformance_finds_nothing()
    {
        using var access = new InProcessFunctionAccess(
            static dma => new VirtioPciFunction(new BalloonDevice(new BalloonOptions(), dma.Memory), dma, new VirtioPciOptions()));
        ConformanceReport report = ConformanceRun.Execute(new ConformanceTarget
        {
            Name = "balloon",
            Access = access,
            Reach = TargetReach.All,
            IsVirtio = true,
            Work = new QueueWork { Queue = Deflate, Request = new byte[4] },
        });
        Assert.DoesNotContain(report.Results, static result => result.Verdict is CheckVerdict.Fail or CheckVerdict.Advice);
        Assert.True(report.Passed);
        Assert.Contains(Deflate, report.ExercisedQueues);
    }

    private GuestBuffer Numbers(params ulong[] addresses)
    {
        byte[] numbers = [.. addresses.SelectMany(static address => BitConverter.GetBytes((uint)(address >> 12)))];
        return GuestBuffer.Readable(_ram.Place(numbers), (uint)numbers.Length);
    }

    private static byte[] Entries(params (ushort Tag, ulong Value)[] values)
    {
        byte[] bytes = new byte[values.Length * 10];
        for (int i = 0; i < values.Length; i++)
        {
            BinaryPrimitives.WriteUInt16LittleEndian(bytes.AsSpan(10 * i), values[i].Tag);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan((10 * i) + 2), values[i].Value);
        }

        return bytes;
    }
}
