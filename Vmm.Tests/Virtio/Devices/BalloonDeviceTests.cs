using System;
using System.Linq;
using Vmm.Conformance;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>The memory balloon (virtio 1.2, 5.5).</summary>
public sealed class BalloonDeviceTests
{
    private const int Inflate = 0;
    private const int Deflate = 1;
    private const int Reports = 2;
    private const ulong Page = 4096;

    [Fact]
    public void Size_and_actual_are_the_configuration()
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions { Size = 3 * Page }, out BalloonDevice balloon);
        balloon.ConfigurationLength.Should().Be(8);
        balloon.ReadConfiguration(0, 4).Should().Be(3);
        balloon.WriteConfiguration(0, 4, 9);
        balloon.WriteConfiguration(4, 4, 2);
        (balloon.Size, balloon.Actual).Should().Be((3 * Page, 2 * Page));

        balloon.Size = uint.MaxValue * Page;
        balloon.ReadConfiguration(0, 4).Should().Be(uint.MaxValue);
        rig.ConfigurationChanges.Should().Be(1);
        balloon.Reset();
        (balloon.Size, balloon.Actual).Should().Be((uint.MaxValue * Page, 0), "what is asked for outlives a reset");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(Page + 1)]
    [InlineData((1UL << 32) * Page)]
    public void A_size_that_the_configuration_cannot_hold_is_refused(ulong size)
    {
        var memory = new GuestMemory();
        FluentActions.Invoking(() => new BalloonDevice(new BalloonDeviceOptions { Size = size }, memory)).Should().Throw<ArgumentException>();
        using var balloon = new BalloonDevice(new BalloonDeviceOptions(), memory);
        FluentActions.Invoking(() => balloon.Size = size).Should().Throw<ArgumentException>();
        balloon.Size.Should().Be(0);
    }

    [Fact]
    public void Features_and_queues_are_those_that_were_asked_for()
    {
        var memory = new GuestMemory();
        using var plain = new BalloonDevice(new BalloonDeviceOptions(), memory);
        using var all = new BalloonDevice(new BalloonDeviceOptions { DeflateOnOutOfMemory = true, FreePageReporting = true }, memory);
        (plain.OfferedFeatures & 0x3f, plain.QueueSizes.Count).Should().Be((0, 2));
        (all.OfferedFeatures & 0x3f, all.QueueSizes.Count).Should().Be(((1 << 2) | (1 << 5), 3));
    }

    [Theory]
    [InlineData(new[] { 0, 1, 2, 3 }, 4)]
    [InlineData(new[] { 3, 2, 1, 0 }, 4)]
    [InlineData(new[] { 0, 2, 4, 4 }, 4)]
    [InlineData(new[] { 5, 6, 0, 1, 3 }, 5)]
    public void Pages_that_are_inflated_go_and_no_others(int[] pages, int discarded)
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions(), out BalloonDevice balloon);
        ulong start = Fill(rig, 8);
        rig.Request(Inflate, Numbers(rig, [.. pages.Select(page => (uint)(start / Page) + (uint)page)])).Should().Be(0);

        Left(rig, start, 8).Should().Equal(Enumerable.Range(0, 8).Except(pages));
        balloon.DiscardedBytes.Should().Be(discarded * (long)Page);
        rig.Request(Deflate, Numbers(rig, (uint)(start / Page))).Should().Be(0);
        rig.Ram.Write(start, 5);
        rig.Ram.Read<int>(start).Should().Be(5);
    }

    [Fact]
    [Trait("Behaviour", "MEM-1")]
    public void Numbers_of_pages_that_are_no_RAM_and_requests_of_odd_length_do_nothing()
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions(), out BalloonDevice balloon);
        ulong start = Fill(rig, 1);
        rig.Request(Inflate, Numbers(rig, uint.MaxValue, uint.MaxValue - 1, 0x8000_0000, 0x4000, 0x3fff + 2));
        rig.Request(Inflate, Readable(rig.Ram.Place([0]), 1));
        rig.Request(Inflate, Writable(rig.Ram.Allocate(64), 64));
        balloon.DiscardedBytes.Should().Be(0);
        Left(rig, start, 1).Should().Equal(0);
        rig.ResetReasons.Should().BeEmpty();
    }

    [Fact]
    public void A_request_of_many_parts_discards_all_of_its_pages()
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions(), out BalloonDevice balloon);
        ulong start = Fill(rig, 2000);
        rig.Request(Inflate, Numbers(rig, [.. Enumerable.Range(0, 2000).Select(page => (uint)(start / Page) + (uint)page)]));
        balloon.DiscardedBytes.Should().Be(2000 * (long)Page);
        Left(rig, start, 2000).Should().BeEmpty();
    }

    [Fact]
    public void Pages_that_are_reported_go_and_no_others()
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions { FreePageReporting = true }, out BalloonDevice balloon);
        ulong start = Fill(rig, 16);
        rig.Request(Reports, Writable(start, 2 * (uint)Page), Writable(start + (8 * Page), (uint)Page), Writable(start + (12 * Page) + 1, (uint)Page))
            .Should().Be(0);
        Left(rig, start, 16).Should().Equal(2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15);
        balloon.DiscardedBytes.Should().Be(3 * (long)Page);
    }

    [Fact]
    public void A_report_of_much_memory_is_taken_in_parts()
    {
        using VirtioDeviceRig rig = Start(new BalloonDeviceOptions { FreePageReporting = true }, out BalloonDevice balloon);
        ulong start = rig.Ram.Allocate(40 << 20, Page);
        rig.Request(Reports, Writable(start, 20 << 20), Writable(start + (20 << 20), 20 << 20));
        balloon.DiscardedBytes.Should().Be(40 << 20);
    }

    [Fact]
    [Trait("Behaviour", "CON-4")]
    [Trait("Behaviour", "CON-6")]
    public void Its_state_goes_into_another_and_is_shown()
    {
        var memory = new GuestMemory();
        using var one = new BalloonDevice(new BalloonDeviceOptions { Size = 7 * Page }, memory);
        using var other = new BalloonDevice(new BalloonDeviceOptions(), memory);
        one.WriteConfiguration(4, 4, 3);
        SavedState saved = one.Save();
        other.PrepareRestore(saved)();
        (other.Size, other.Actual).Should().Be((7 * Page, 3 * Page));
        other.Save().Data.GetRawText().Should().Be(saved.Data.GetRawText());
        var node = new InspectionNode("balloon");
        other.Inspect(node);
        (node.TextOf("num_pages"), node.TextOf("actual"), node.TextOf("type")).Should().Be(("0x00000007", "0x00000003", "Balloon"));
    }

    [Fact]
    [Trait("Behaviour", "CON-7")]
    public void Conformance_finds_nothing()
    {
        var options = new BalloonDeviceOptions { FreePageReporting = true, DeflateOnOutOfMemory = true };
        using var access = new InProcessFunctionAccess(dma => new VirtioPciFunction(new BalloonDevice(options, dma.Memory), dma));
        ConformanceReport report = ConformanceRun.Execute(new ConformanceTarget
        {
            Name = "balloon",
            Access = access,
            Reach = TargetReach.All,
            IsVirtio = true,
            Kind = VirtioDeviceType.Balloon,
            Work = new QueueWork { Queue = Deflate, Request = new byte[4] },
        });
        report.Results.Where(static result => result.Verdict is CheckVerdict.Fail or CheckVerdict.Advice).Should().BeEmpty();
        report.Passed.Should().BeTrue();
    }

    private static VirtioDeviceRig Start(BalloonDeviceOptions options, out BalloonDevice balloon)
    {
        var ram = new GuestRam();
        balloon = new BalloonDevice(options, ram.Memory);
        return new VirtioDeviceRig(balloon, ram).Start();
    }

    private static ulong Fill(VirtioDeviceRig rig, int pages)
    {
        ulong start = rig.Ram.Allocate((ulong)pages * Page, Page);
        for (int page = 0; page < pages; page++)
        {
            rig.Ram.Write(start + ((ulong)page * Page) + 100, 0x1234_5678);
        }

        return start;
    }

    private static int[] Left(VirtioDeviceRig rig, ulong start, int pages) =>
        [.. Enumerable.Range(0, pages).Where(page => rig.Ram.Read<int>(start + ((ulong)page * Page) + 100) == 0x1234_5678)];

    private static GuestBuffer Numbers(VirtioDeviceRig rig, params uint[] pages) =>
        Readable(rig.Ram.Place([.. pages.SelectMany(BitConverter.GetBytes)]), (uint)pages.Length * sizeof(uint));
}
