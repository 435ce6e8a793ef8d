using System;
using Vmm.DeviceModel.Registers;

namespace Vmm.Tests.DeviceModel.Registers;

/// <summary>Wrong tables fail when they are built, with a message that names the line.</summary>
public sealed class RegisterMapConstructionTests
{
    private static readonly RegisterRead<object> Read = static _ => 0;
    private static readonly RegisterWrite<object> Write = static (_, _) => { };
    private static readonly RegisterLaneWrite<object> LaneWrite = static (_, _, _) => { };

    [Fact]
    public void Overlap_is_refused_and_names_both()
    {
        Adding(m => m.Add(4, 1, RegisterAccess.ReadOnly, "b", Read)).Should().Throw<ArgumentException>().WithMessage("*'b' at 0x4*overlaps 'a'*");
        Adding(m => m.Add(0, 8, RegisterAccess.ReadOnly, "b", Read)).Should().Throw<ArgumentException>().WithMessage("*overlaps 'a'*");
        Adding(m => m.Add(0, 4, RegisterAccess.ReadOnly, "b", 2, 4, static (_, _) => 0))
            .Should().Throw<ArgumentException>().WithMessage("*overlaps*");
    }

    [Theory]
    [InlineData(2, 4, "aligned")]
    [InlineData(9, 2, "aligned")]
    [InlineData(-4, 4, "aligned")]
    [InlineData(12, 8, "aligned")]
    [InlineData(16, 1, "leaves the block")]
    [InlineData(0x7FFF_FFFC, 4, "leaves the block")]
    [InlineData(8, 3, "wide")]
    [InlineData(8, 0, "wide")]
    [InlineData(0, 16, "wide")]
    public void Misplaced_lines_are_refused(int offset, int width, string problem)
    {
        Adding(m => m.Add(offset, width, RegisterAccess.ReadOnly, "b", Read)).Should().Throw<ArgumentException>().WithMessage($"*{problem}*");
    }

    [Fact]
    public void A_name_occurs_once()
    {
        Adding(m => m.Add(8, 4, RegisterAccess.ReadOnly, "a", Read)).Should().Throw<ArgumentException>().WithMessage("*there already*");
        Adding(m => m.Add(8, 4, RegisterAccess.ReadOnly, "", Read)).Should().Throw<ArgumentException>().WithMessage("*no name*");
    }

    [Fact]
    public void Handlers_must_fit_the_access()
    {
        Adding(m => m.Add(8, 4, RegisterAccess.ReadWrite, "b", Read)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, RegisterAccess.WriteOnly, "b", Read)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, RegisterAccess.ReadOnly, "b", Write)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, RegisterAccess.ReadOnly, "b", Read, Write)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, RegisterAccess.ReadSideEffect, "b", Write)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, (RegisterAccess)99, "b", Read)).Should().Throw<ArgumentException>();
        Adding(m => m.Add(8, 4, RegisterAccess.ReadSideEffect, "b", Read, Write)).Should().NotThrow();
    }

    [Fact]
    public void Halves_that_would_be_merged_blindly_need_a_lane_handler()
    {
        Adding(m => m.Add(8, 8, RegisterAccess.WriteOnly, "b", Write)).Should().Throw<ArgumentException>().WithMessage("*halves*");
        Adding(m => m.Add(8, 8, RegisterAccess.ReadSideEffect, "b", Read, Write)).Should().Throw<ArgumentException>().WithMessage("*halves*");
        Adding(m => m.Add(8, 8, RegisterAccess.WriteOnly, "b", LaneWrite)).Should().NotThrow();
    }

    [Fact]
    public void Lane_blocks_take_no_whole_writes_but_of_bytes()
    {
        var map = new RegisterMap<object>("m", 16, RegisterPolicy.Lanes);
        map.Invoking(m => m.Add(0, 2, RegisterAccess.ReadWrite, "a", Read, Write)).Should().Throw<ArgumentException>().WithMessage("*(value, mask)*");
        map.Invoking(m => m.Add(4, 2, RegisterAccess.ReadWrite, "b", Read, LaneWrite)).Should().NotThrow();
        map.Invoking(m => m.Add(8, 1, RegisterAccess.ReadWrite, "c", Read, Write)).Should().NotThrow();
    }

    [Theory]
    [InlineData(0, 4, "count")]
    [InlineData(3, 4, "leaves")]
    [InlineData(2, 2, "stride")]
    [InlineData(2, 6, "stride")]
    [InlineData(int.MaxValue, int.MaxValue - 3, "leaves")]
    public void Arrays_are_checked(int count, int stride, string problem)
    {
        Adding(m => m.Add(8, 4, RegisterAccess.ReadOnly, "b", count, stride, static (_, _) => 0))
            .Should().Throw<ArgumentException>().WithMessage($"*{problem}*");
    }

    [Fact]
    public void A_block_holds_255_lines()
    {
        var map = new RegisterMap<object>("m", 256);
        for (int i = 0; i < 255; i++)
        {
            map.Add(i, 1, RegisterAccess.ReadOnly, $"r{i}", _ => 7);
        }

        map.Read(this, 254, 1).Should().Be(7);
        map.Invoking(m => m.Add(255, 1, RegisterAccess.ReadOnly, "r255", Read)).Should().Throw<ArgumentException>().WithMessage("*at most 255*");
    }

    [Fact]
    public void A_block_has_a_name_and_a_length()
    {
        FluentActions.Invoking(() => new RegisterMap<object>("", 4)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new RegisterMap<object>("m", 0)).Should().Throw<ArgumentException>();
    }

    private static Action Adding(Action<RegisterMap<object>> add)
    {
        var map = new RegisterMap<object>("m", 16) { { 4, 4, RegisterAccess.ReadOnly, "a", Read } };
        return () => add(map);
    }
}
