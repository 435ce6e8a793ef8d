using System;
using System.Linq;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>What one access does: boundaries, widths, splitting, and the bytes that nobody claims.</summary>
public sealed class AddressSpaceDispatchTests
{
    private static AddressSpace Memory() => new(new AddressSpaceOptions());

    private static AddressSpace Ports() => new(new AddressSpaceOptions { Kind = AddressSpaceKind.Port, Name = "io" });

    [Fact]
    [Trait("Behaviour", "BUS-1")]
    public void The_top_byte_of_the_address_space_is_usable()
    {
        AddressSpace space = Memory();
        var top = new RecordingHandler(16, 0x5a);
        space.Add(new HandlerClaim("top", 16, top), ulong.MaxValue - 15);

        space.Read(ulong.MaxValue, 1).Should().Be(0x5a);
        space.Read(ulong.MaxValue - 7, 8).Should().Be(0x5a5a_5a5a_5a5a_5a5a);
        space.Write(ulong.MaxValue, 1, 0x77);
        top.Bytes[15].Should().Be(0x77);
        space.Segments.Should().ContainSingle().Which.Last.Should().Be(ulong.MaxValue);
    }

    [Fact]
    [Trait("Behaviour", "BUS-1")]
    public void An_access_over_the_top_does_not_wrap_to_the_bottom()
    {
        AddressSpace space = Memory();
        var top = new RecordingHandler(16, 0x5a);
        var bottom = new RecordingHandler(16, 0x11);
        space.Add(new HandlerClaim("top", 16, top), ulong.MaxValue - 15);
        space.Add(new HandlerClaim("bottom", 16, bottom), 0);

        space.Read(ulong.MaxValue - 1, 4).Should().Be(0xffff_5a5a);
        space.Write(ulong.MaxValue - 1, 4, 0x4433_2211);

        bottom.Accesses.Should().BeEmpty();
        top.Bytes[14..].Should().Equal(0x11, 0x22);
        space.UnclaimedCounters.Should().Be(new ClaimCounters(1, 1));
    }

    [Theory]
    [Trait("Behaviour", "BUS-1")]
    [InlineData(ulong.MaxValue, 2UL)]
    [InlineData(ulong.MaxValue - 14, 16UL)]
    [InlineData(1UL, ulong.MaxValue)]
    public void A_range_that_ends_beyond_the_top_is_refused_unless_it_fits_exactly(ulong address, ulong length)
    {
        AddressSpace space = Memory();
        var claim = new HandlerClaim("claim", length, new RecordingHandler(1));
        bool fits = length - 1 <= ulong.MaxValue - address;

        Action add = () => space.Add(claim, address);

        if (fits)
        {
            add.Should().NotThrow();
            space.Segments.Should().ContainSingle();
        }
        else
        {
            add.Should().Throw<ArgumentOutOfRangeException>();
            claim.Space.Should().BeNull();
        }
    }

    [Fact]
    [Trait("Behaviour", "BUS-1")]
    public void A_range_of_no_bytes_is_refused()
    {
        Action make = () => _ = new HandlerClaim("empty", 0, new RecordingHandler(1));
        make.Should().Throw<ArgumentOutOfRangeException>();
    }

    [Theory]
    [Trait("Behaviour", "BUS-2")]
    [InlineData(1, 0xffUL)]
    [InlineData(2, 0xffffUL)]
    [InlineData(3, 0xff_ffffUL)]
    [InlineData(4, 0xffff_ffffUL)]
    [InlineData(7, 0xff_ffff_ffff_ffffUL)]
    [InlineData(8, ulong.MaxValue)]
    public void Nobody_answers_with_all_ones_of_the_width(int width, ulong expected)
    {
        AddressSpace space = Memory();
        space.Read(0x1000, width).Should().Be(expected);
        space.Write(0x1000, width, 0);
        space.UnclaimedCounters.Should().Be(new ClaimCounters(1, 1));
    }

    [Theory]
    [Trait("Behaviour", "BUS-3")]
    [Trait("Behaviour", "BUS-4")]
    [InlineData(0x1006, 4, "r6+2", "r0+2")]
    [InlineData(0x1007, 2, "r7+1", "r0+1")]
    [InlineData(0x1005, 8, "r5+1 r6+2", "r0+4 r4+1")]
    [InlineData(0x1001, 6, "r1+1 r2+2 r4+2 r6+1", "")]
    [InlineData(0x1000, 3, "r0+2 r2+1", "")]
    [InlineData(0x1000, 5, "r0+4 r4+1", "")]
    [InlineData(0x1000, 6, "r0+4 r4+2", "")]
    [InlineData(0x1000, 7, "r0+4 r4+2 r6+1", "")]
    [InlineData(0x1000, 8, "r0+8", "")]
    [InlineData(0x1004, 8, "r4+4", "r0+4")]
    public void Devices_see_aligned_pieces_inside_their_own_range(ulong address, int width, string low, string high)
    {
        AddressSpace space = Memory();
        var first = new RecordingHandler(8, 1);
        var second = new RecordingHandler(8, 2);
        space.Add(new HandlerClaim("first", 8, first), 0x1000);
        space.Add(new HandlerClaim("second", 8, second), 0x1008);

        space.Read(address, width);

        first.ToString().Should().Be(low);
        second.ToString().Should().Be(high);
        (first.SawForbidden || second.SawForbidden).Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "BUS-3")]
    [Trait("Behaviour", "BUS-4")]
    public void Every_width_at_every_alignment_agrees_with_a_map_of_bytes()
    {
        var random = new Random(20240229);
        for (int round = 0; round < 60; round++)
        {
            bool ports = round % 3 == 2;
            AddressSpace space = ports ? Ports() : Memory();
            ulong origin = ports ? (round % 2 == 0 ? 0xff80UL : 0x100) : round % 2 == 0 ? ulong.MaxValue - 127 : 0xd000_0f80;
            var owner = new RecordingHandler?[128];
            int[] offsets = new int[128];
            for (int i = 0; i < 8; i++)
            {
                int start = random.Next(128);
                int length = random.Next(1, 128 - start + 1);
                length = Math.Min(length, random.Next(1, 40));
                var handler = new RecordingHandler(length);
                random.NextBytes(handler.Bytes);
                int priority = random.Next(3);
                space.Add(new HandlerClaim($"c{i}", (ulong)length, handler, priority), origin + (ulong)start);
            }

            FillModel(space, origin, owner, offsets);
            for (int start = 0; start < 128; start++)
            {
                for (int width = 1; width <= 8; width++)
                {
                    ulong expected = Expected(owner, offsets, start, width);
                    space.Read(origin + (ulong)start, width).Should().Be(expected, "round {0}, byte {1}, width {2}", round, start, width);
                    ulong value = (ulong)random.NextInt64();
                    space.Write(origin + (ulong)start, width, value);
                    ulong after = Merge(owner, start, width, value);
                    space.Read(origin + (ulong)start, width).Should().Be(after);
                }
            }

            owner.Should().OnlyContain(handler => handler == null || !handler.SawForbidden);
        }
    }

    [Fact]
    [Trait("Behaviour", "BUS-1")]
    public void Ports_end_at_ffff()
    {
        AddressSpace space = Ports();
        var last = new RecordingHandler(8, 0x33);
        var first = new RecordingHandler(8, 0x44);
        space.Add(new HandlerClaim("last", 8, last), 0xfffc);
        space.Add(new HandlerClaim("first", 8, first), 0);

        space.Read(0xffff, 4).Should().Be(0xffff_ff33);
        space.Read(0x1_0000, 1).Should().Be(0xff);
        first.Accesses.Should().BeEmpty();
        last.ToString().Should().Be("r3+1");
        space.Segments.Select(s => s.Last).Should().Equal(7UL, 0xffffUL);
    }

    [Fact]
    public void A_width_that_does_not_exist_is_the_callers_mistake()
    {
        AddressSpace space = Memory();
        foreach (int width in new[] { int.MinValue, -1, 0, 9, 16, 33, int.MaxValue })
        {
            ((Action)(() => space.Read(0, width))).Should().Throw<ArgumentOutOfRangeException>();
            ((Action)(() => space.Write(0, width, 0))).Should().Throw<ArgumentOutOfRangeException>();
        }
    }

    private static void FillModel(AddressSpace space, ulong origin, RecordingHandler?[] owner, int[] offsets)
    {
        foreach (AddressSpaceSegment segment in space.Segments)
        {
            for (ulong i = 0; i <= segment.Last - segment.Start; i++)
            {
                int at = (int)(segment.Start - origin + i);
                owner[at] = (RecordingHandler)((HandlerClaim)segment.Claim).Handler;
                offsets[at] = (int)(segment.Offset + i);
            }
        }
    }

    private static ulong Expected(RecordingHandler?[] owner, int[] offsets, int start, int width)
    {
        ulong value = 0;
        for (int i = 0; i < width; i++)
        {
            RecordingHandler? handler = start + i < owner.Length ? owner[start + i] : null;
            value |= (ulong)(handler?.Bytes[offsets[start + i]] ?? 0xff) << (8 * i);
        }

        return value;
    }

    private static ulong Merge(RecordingHandler?[] owner, int start, int width, ulong written)
    {
        ulong value = 0;
        for (int i = 0; i < width; i++)
        {
            bool claimed = start + i < owner.Length && owner[start + i] is not null;
            value |= (claimed ? (written >> (8 * i)) & 0xff : 0xff) << (8 * i);
        }

        return value;
    }
}
