using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.CompilerServices;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Virtio.Queues;

/// <summary>Runs of bytes in pieces, against a plain array.</summary>
[Trait("Behaviour", "VQ-3")]
public sealed unsafe class GuestBuffersTests
{
    private const int Total = 11;
    private static readonly int[] Lengths = [3, 1, 5, 2];

    // A guard byte lies behind each piece.
    private readonly byte[] _bytes = GC.AllocateArray<byte>(Total + Lengths.Length, pinned: true);
    private readonly GuestSegment[] _segments = GC.AllocateArray<GuestSegment>(Lengths.Length, pinned: true);

    public GuestBuffersTests()
    {
        int at = 0;
        for (int i = 0; i < Lengths.Length; i++)
        {
            _segments[i] = new GuestSegment { Base = (byte*)Unsafe.AsPointer(ref _bytes[at]), Length = (nuint)Lengths[i] };
            at += Lengths[i] + 1;
        }
    }

    [Theory]
    [InlineData(2047)]
    [InlineData(2048)]
    [InlineData(2049)]
    [InlineData(4096)]
    [InlineData(4223)]
    [InlineData(65536)]
    [InlineData(65537)]
    public void A_block_is_copied_whole_both_ways_and_nothing_beside_it(int length)
    {
        byte[] memory = GC.AllocateArray<byte>(length + 2, pinned: true);
        byte[] block = new byte[length];
        new Random(length).NextBytes(block);
        byte* bytes = (byte*)Unsafe.AsPointer(ref memory[0]);
        GuestSegment* whole = stackalloc GuestSegment[1];
        whole[0] = new GuestSegment { Base = bytes + 1, Length = (nuint)length };
        var buffers = new GuestBuffers(whole, 1, 0, length);
        buffers.CopyFrom(block).Should().Be(length);
        memory.AsSpan(1, length).SequenceEqual(block).Should().BeTrue();
        (memory[0], memory[^1]).Should().Be((0, 0));
        byte[] back = new byte[length];
        buffers.CopyTo(back).Should().Be(length);
        back.AsSpan().SequenceEqual(block).Should().BeTrue();
    }

    [Fact]
    public void A_copy_of_any_length_is_the_same_from_one_piece_and_from_several()
    {
        const int Bytes = 70;
        byte* bytes = (byte*)Unsafe.AsPointer(ref GC.AllocateArray<byte>(Bytes, pinned: true)[0]);
        GuestSegment* whole = stackalloc GuestSegment[1];
        whole[0] = new GuestSegment { Base = bytes, Length = Bytes };
        GuestSegment* halves = stackalloc GuestSegment[2];
        halves[0] = new GuestSegment { Base = bytes, Length = 1 };
        halves[1] = new GuestSegment { Base = bytes + 1, Length = Bytes - 1 };
        for (int i = 0; i < Bytes; i++)
        {
            bytes[i] = (byte)(i + 1);
        }

        for (int length = 0; length <= Bytes; length++)
        {
            for (int start = 0; start <= Bytes - length; start++)
            {
                byte[] one = new byte[length];
                byte[] two = new byte[length];
                new GuestBuffers(whole, 1, 0, Bytes).Slice(start, length).CopyTo(one).Should().Be(length);
                new GuestBuffers(halves, 2, 0, Bytes).Slice(start, length).CopyTo(two).Should().Be(length);
                one.Should().Equal(two);
                one.Should().Equal(new Span<byte>(bytes + start, length).ToArray());
            }
        }
    }

    [Fact]
    public void Every_part_has_the_bytes_that_the_array_has_there()
    {
        foreach ((int start, int length) in Parts())
        {
            Fill([.. Enumerable.Range(1, Total).Select(i => (byte)i)]);
            byte[] expected = [.. Enumerable.Range(1 + start, length).Select(i => (byte)i)];
            GuestBuffers part = Run().Slice(start, length);
            (part.Length, part.IsEmpty).Should().Be((length, length == 0));
            Bytes(part).Should().Equal(expected);
            Bytes(Run().Slice(start)).Should().Equal(Enumerable.Range(1 + start, Total - start).Select(i => (byte)i));
            for (int size = 0; size <= Total + 1; size++)
            {
                byte[] copy = new byte[size];
                int copied = Math.Min(size, length);
                part.CopyTo(copy).Should().Be(copied);
                copy.Should().Equal(expected.Take(copied).Concat(new byte[size - copied]));
            }
        }
    }

    [Fact]
    public void Writing_changes_the_bytes_of_the_part_and_no_others()
    {
        foreach ((int start, int length) in Parts())
        {
            for (int size = 0; size <= Total + 1; size++)
            {
                Fill(new byte[Total]);
                byte[] source = [.. Enumerable.Range(1, size).Select(i => (byte)i)];
                int copied = Math.Min(size, length);
                Run().Slice(start, length).CopyFrom(source).Should().Be(copied);
                byte[] expected = new byte[Total];
                source.AsSpan(0, copied).CopyTo(expected.AsSpan(start));
                Bytes(Run()).Should().Equal(expected);
                Guards().Should().OnlyContain(guard => guard == 0xee);
            }

            Fill(new byte[Total]);
            Run().Slice(start, length).Fill(7);
            Bytes(Run()).Should().Equal(Enumerable.Range(0, Total).Select(i => i >= start && i < start + length ? (byte)7 : (byte)0));
            Guards().Should().OnlyContain(guard => guard == 0xee);
        }
    }

    [Fact]
    public void Pieces_come_in_order_and_none_is_empty()
    {
        PieceLengths(Run()).Should().Equal(3, 1, 5, 2);
        PieceLengths(Run().Slice(2, 4)).Should().Equal(1, 1, 2);
        PieceLengths(Run().Slice(3)).Should().Equal(1, 5, 2);
        PieceLengths(Run().Slice(4, 5)).Should().Equal(5);
        PieceLengths(Run().Slice(11)).Should().BeEmpty();
        PieceLengths(Run().Slice(1).Slice(4).Slice(2, 3)).Should().Equal(2, 1);
        PieceLengths(default).Should().BeEmpty();
        default(GuestBuffers).IsEmpty.Should().BeTrue();
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, -1)]
    [InlineData(0, 12)]
    [InlineData(5, 7)]
    [InlineData(12, 0)]
    [InlineData(long.MaxValue, long.MaxValue)]
    public void A_part_that_does_not_lie_inside_is_refused(long start, long length)
    {
        FluentActions.Invoking(() => Run().Slice(start, length).Length).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_piece_of_more_than_1_GiB_comes_as_several()
    {
        const long Gib = 1L << 30;
        using var memory = HostMemory.AllocateAnonymous((2 * (ulong)Gib) + 4096);
        _segments[0] = new GuestSegment { Base = memory.Pointer, Length = (nuint)(2 * Gib) + 5 };
        fixed (GuestSegment* segments = _segments)
        {
            var run = new GuestBuffers(segments, 2, 0, (2 * Gib) + 6);
            PieceLengths(run).Should().Equal((int)Gib, (int)Gib, 5, 1);
            PieceLengths(run.Slice(Gib - 1, 2)).Should().Equal(2);
            PieceLengths(run.Slice(Gib, Gib + 6)).Should().Equal((int)Gib, 5, 1);
            run.Slice(Gib - 2, 4).CopyFrom([1, 2, 3, 4]).Should().Be(4);
            new ReadOnlySpan<byte>(memory.Pointer + Gib - 3, 6).ToArray().Should().Equal(0, 1, 2, 3, 4, 0);
            byte[] read = new byte[4];
            run.Slice(Gib - 2).CopyTo(read).Should().Be(4);
            read.Should().Equal(1, 2, 3, 4);
        }
    }

    [Fact]
    public void Several_runs_and_host_bytes_are_one_list()
    {
        Fill([.. Enumerable.Range(1, Total).Select(i => (byte)i)]);
        byte[] behind = GC.AllocateArray<byte>(4, pinned: true);
        behind[0] = 99;
        behind[1] = 98;
        var list = new SegmentList(5);
        list.TryAdd(Run().Slice(2, 3)).Should().BeTrue();
        list.TryAdd(default).Should().BeTrue();
        list.TryAdd(Run()).Should().BeFalse("two places are left, and it has four pieces");
        list.TryAddPinned(behind, 2).Should().BeTrue();
        Bytes(list.Buffers).Should().Equal(3, 4, 5, 99, 98);
        list.Buffers.Count.Should().Be(4);
        list.TryAdd(Run().Slice(9)).Should().BeTrue();
        list.TryAddPinned(behind, 2).Should().BeFalse("it is full");
        Bytes(list.Buffers).Should().Equal(3, 4, 5, 99, 98, 10, 11);
        list.Buffers.Slice(2, 3).CopyFrom([50, 51, 52]);
        Bytes(Run()).Should().Equal(1, 2, 3, 4, 50, 6, 7, 8, 9, 10, 11);
        behind.Should().Equal(51, 52, 0, 0);
        list.Clear();
        list.Buffers.IsEmpty.Should().BeTrue();
        list.TryAdd(Run()).Should().BeTrue();
        Bytes(list.Buffers).Should().Equal(Bytes(Run()));
    }

    [Fact]
    public void A_list_takes_a_piece_of_any_size_as_one()
    {
        const long Gib = 1L << 30;
        using var memory = HostMemory.AllocateAnonymous(3 * (ulong)Gib);
        _segments[0] = new GuestSegment { Base = memory.Pointer, Length = 3 * (nuint)Gib };
        fixed (GuestSegment* segments = _segments)
        {
            var list = new SegmentList(1);
            list.TryAdd(new GuestBuffers(segments, 1, 7, (3 * Gib) - 8)).Should().BeTrue();
            (list.Buffers.Count, list.Buffers.Length).Should().Be((1, (3 * Gib) - 8));
        }
    }

    private static IEnumerable<(int Start, int Length)> Parts()
    {
        return Enumerable.Range(0, Total + 1).SelectMany(start => Enumerable.Range(0, Total + 1 - start).Select(length => (start, length)));
    }

    private static byte[] Bytes(GuestBuffers run)
    {
        var bytes = new List<byte>();
        foreach (Span<byte> piece in run)
        {
            bytes.AddRange(piece.ToArray());
        }

        return [.. bytes];
    }

    private static List<int> PieceLengths(GuestBuffers run)
    {
        var lengths = new List<int>();
        foreach (Span<byte> piece in run)
        {
            lengths.Add(piece.Length);
        }

        return lengths;
    }

    private GuestBuffers Run() =>
        new((GuestSegment*)Unsafe.AsPointer(ref _segments[0]), _segments.Length, 0, Total);

    private IEnumerable<byte> Guards()
    {
        int at = 0;
        foreach (int length in Lengths)
        {
            at += length;
            yield return _bytes[at++];
        }
    }

    private void Fill(byte[] bytes)
    {
        _bytes.AsSpan().Fill(0xee);
        int at = 0;
        int from = 0;
        foreach (int length in Lengths)
        {
            bytes.AsSpan(from, length).CopyTo(_bytes.AsSpan(at));
            from += length;
            at += length + 1;
        }
    }
}
