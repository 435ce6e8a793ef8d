using System;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

public sealed class GuestMemoryTests : IDisposable
{
    private const ulong Low = 0x1000;
    private const ulong Touching = 0x3000;
    private const ulong Far = 0x1_0000_0000;
    private const ulong Top = 0xFFFF_FFFF_FFFF_F000;
    private static readonly byte[] Pattern = [1, 2, 3, 4, 5, 6, 7, 8];

    private readonly HostMemory _host = HostMemory.AllocateAnonymous(0x8000);
    private readonly GuestMemory _memory = new();

    public GuestMemoryTests()
    {
        // The two touching regions are far from each other in the host, in the other order.
        _memory.Add(Touching, _host, 0, 0x2000);
        _memory.Add(Low, _host, 0x4000, 0x2000);
        _memory.Add(Far, _host, 0x6000, 0x1000);
        _memory.Add(Top, _host, 0x7000, 0x1000);
    }

    public void Dispose() => _host.Dispose();

    [Fact]
    public void Regions_are_sorted_by_address()
    {
        _memory.Current.Regions.Select(r => r.Address).Should().Equal(Low, Touching, Far, Top);
    }

    [Theory]
    [Trait("Behaviour", "MEM-1")]
    [InlineData(0x0FFF, 1, false)]
    [InlineData(0x0FFF, 2, false)]
    [InlineData(0x1000, 0x2000, true)]
    [InlineData(0x1000, 0x2001, false)]
    [InlineData(0x2FFF, 1, true)]
    [InlineData(0x2FFF, 2, false)]
    [InlineData(0x4FFF, 1, true)]
    [InlineData(0x4FFF, 2, false)]
    [InlineData(0x5000, 1, false)]
    [InlineData(0x1_0000_0000, 0x1000, true)]
    [InlineData(0x1_0000_0FFF, 2, false)]
    [InlineData(0xFFFF_FFFF_FFFF_F000, 0x1000, true)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, 1, true)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, 2, false)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, int.MaxValue, false)]
    [InlineData(0x1000, 0, true)]
    [InlineData(0x1000, -1, false)]
    [InlineData(0x1000, int.MinValue, false)]
    [InlineData(0, int.MinValue, false)]
    public void A_window_lies_in_one_region(ulong address, int length, bool found)
    {
        _memory.Current.TryGetWindow(address, length, out GuestWindow window).Should().Be(found);
        window.Length.Should().Be(found ? length : 0);
    }

    [Fact]
    [Trait("Behaviour", "MEM-2")]
    public unsafe void A_buffer_over_touching_regions_is_handled_piecewise()
    {
        _memory.Current.TryGetWindow(Touching - 4, 8, out _).Should().BeFalse();
        _memory.Current.GetContiguous(Touching - 4, 8, out byte* first).Should().Be(4);
        _memory.Current.GetContiguous(Touching, 4, out byte* second).Should().Be(4);
        ((nint)(first + 4)).Should().NotBe((nint)second);

        _memory.TryWrite(Touching - 4, Pattern).Should().BeTrue();
        new ReadOnlySpan<byte>(_host.Pointer + 0x5FFC, 4).ToArray().Should().Equal(1, 2, 3, 4);
        new ReadOnlySpan<byte>(_host.Pointer, 4).ToArray().Should().Equal(5, 6, 7, 8);
        byte[] back = new byte[8];
        _memory.TryRead(Touching - 4, back).Should().BeTrue();
        back.Should().Equal(Pattern);
        _memory.TryReadUInt64(Touching - 4, out ulong value).Should().BeTrue();
        value.Should().Be(0x0807_0605_0403_0201);
    }

    [Theory]
    [Trait("Behaviour", "MEM-1")]
    [InlineData(Low - 1)]
    [InlineData(Touching + 0x2000 - 7)]
    [InlineData(Far + 0x1000 - 1)]
    [InlineData(Far + 0x1000)]
    [InlineData(0xFFFF_FFFF_FFFF_FFF9)]
    [InlineData(ulong.MaxValue)]
    public void A_write_that_does_not_fit_writes_nothing(ulong address)
    {
        _memory.TryWrite(address, Pattern).Should().BeFalse();
        _memory.TryRead(address, new byte[8]).Should().BeFalse();
        _memory.TryReadUInt64(address, out ulong value).Should().BeFalse();
        value.Should().Be(0);
        _memory.TryWriteUInt64(address, ulong.MaxValue).Should().BeFalse();
        _memory.Current.Contains(address, 8).Should().BeFalse();
        foreach (GuestMemoryRegion region in _memory.Current.Regions)
        {
            byte[] all = new byte[region.Length];
            _memory.TryRead(region.Address, all).Should().BeTrue();
            all.Should().OnlyContain(b => b == 0);
        }
    }

    [Fact]
    public void The_top_byte_is_usable_and_empty_accesses_succeed()
    {
        _memory.TryWrite(ulong.MaxValue, [0x5A]).Should().BeTrue();
        byte[] one = new byte[1];
        _memory.TryRead(ulong.MaxValue, one).Should().BeTrue();
        one[0].Should().Be(0x5A);
        _memory.TryWrite(0x5000, []).Should().BeTrue();
        _memory.TryRead(0x5000, []).Should().BeTrue();
    }

    [Fact]
    public void Values_are_little_endian()
    {
        _memory.TryWriteUInt16(Low, 0x0201).Should().BeTrue();
        _memory.TryWriteUInt32(Low + 2, 0x0605_0403).Should().BeTrue();
        _memory.TryReadUInt16(Low + 1, out ushort half).Should().BeTrue();
        _memory.TryReadUInt32(Low + 1, out uint word).Should().BeTrue();
        half.Should().Be(0x0302);
        word.Should().Be(0x0504_0302);
        _memory.TryWriteUInt64(Far, 0x8877_6655_4433_2211).Should().BeTrue();
        _memory.TryReadUInt64(Far, out ulong value).Should().BeTrue();
        value.Should().Be(0x8877_6655_4433_2211);
    }

    [Theory]
    [InlineData(Low, 0x8000, 1)]
    [InlineData(Low, 0x7FFF, 2)]
    [InlineData(Low, ulong.MaxValue, 2)]
    [InlineData(Low, 0, 0)]
    [InlineData(0x2000, 0, 0x1000)]
    [InlineData(0x0FFF, 0, 2)]
    [InlineData(0x2FFF, 0, 1)]
    [InlineData(0, 0, 0x8000)]
    [InlineData(0xFFFF_FFFF_FFFF_FFFF, 0, 1)]
    [InlineData(0xFFFF_FFFF_FFFF_E000, 0, 0x2001)]
    public void Wrong_regions_are_refused(ulong address, ulong offset, ulong length)
    {
        _memory.Invoking(m => m.Add(address, _host, offset, length)).Should().Throw<ArgumentException>();
        _memory.Current.Regions.Should().HaveCount(4);
    }

    [Fact]
    public void A_gap_of_exact_size_can_be_filled()
    {
        _memory.Add(0, _host, 0, 0x1000);
        _memory.Current.Contains(0, 0x5000).Should().BeTrue();
        _memory.Current.Contains(0, 0x5001).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "MEM-5")]
    public void A_tracker_is_in_force_once_everybody_who_was_inside_has_left()
    {
        using var inside = new ManualResetEventSlim();
        using var leave = new ManualResetEventSlim();
        var reader = new Thread(() =>
        {
            using (_memory.Domain.Enter())
            {
                inside.Set();
                leave.Wait(20_000).Should().BeTrue();
                _memory.Invoking(m => m.DirtyTracker = null).Should().Throw<InvalidOperationException>("it would wait for itself");
            }
        });
        reader.Start();
        inside.Wait(20_000).Should().BeTrue();
        bool left = false;
        var setter = new Thread(() =>
        {
            _memory.DirtyTracker = new RecordingDirtyTracker();
            left = leave.IsSet;
        });
        setter.Start();
        while (_memory.DirtyTracker is null)
        {
            Thread.Yield();
        }

        leave.Set();
        setter.Join();
        reader.Join();
        left.Should().BeTrue("the change returns after the reader has left");
    }

    [Fact]
    [Trait("Behaviour", "MEM-5")]
    public void Dirty_marks_cover_what_was_written_and_nothing_else()
    {
        var tracker = new RecordingDirtyTracker();
        _memory.DirtyTracker = tracker;
        _memory.TryWrite(Touching - 4, Pattern);
        _memory.TryWrite(0x5000, Pattern);
        _memory.TryReadUInt16(Low, out _);
        tracker.Marks.Should().Equal((Touching - 4, 8));
    }

    [Fact]
    public void Access_allocates_nothing()
    {
        Run();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run();
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);

        void Run()
        {
            Span<byte> buffer = stackalloc byte[16];
            for (int i = 0; i < 1000; i++)
            {
                _memory.TryWrite(Touching - 8, buffer);
                _memory.TryRead(Touching - 8, buffer);
                _memory.TryReadUInt32(Far, out _);
                _memory.Current.TryGetWindow(Top, 16, out _);
                _memory.Current.TryGetWindow(0, 16, out _);
            }
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(8)]
    public void Look_up_agrees_with_a_linear_search_whatever_the_number_of_regions(int count)
    {
        var memory = new GuestMemory();
        var random = new Random(count);
        ulong at = 0;
        for (int i = 0; i < count; i++)
        {
            at += (ulong)random.Next(0, 3) * 0x10;
            ulong length = (ulong)random.Next(1, 4) * 0x10;
            memory.Add(at, _host, (ulong)(i * 0x100), length);
            at += length;
        }

        GuestMemoryMap map = memory.Current;
        for (ulong address = 0; address < at + 0x20; address++)
        {
            GuestMemoryRegion? region = map.Regions.FirstOrDefault(r => address >= r.Address && address - r.Address < r.Length);
            ulong expected = region is null ? 0 : region.Length - (address - region.Address);
            unsafe
            {
                map.GetContiguous(address, ulong.MaxValue, out byte* host).Should().Be(expected);
                ((nint)host).Should().Be(region is null ? 0 : (nint)(_host.Pointer + region.Offset + (address - region.Address)));
            }
        }
    }
}
