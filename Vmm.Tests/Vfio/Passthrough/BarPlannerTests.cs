using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Pci.Access;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Which pages of a BAR are mapped and which trap, for every geometry (VFIO-3).</summary>
public sealed class BarPlannerTests
{
    private const ulong Page = 0x1000;

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void A_bar_that_is_mappable_as_a_whole_is_mapped_as_a_whole()
    {
        BarPlan plan = BarPlanner.Plan(Request(0x4000, Area(0, 0x4000)));
        plan.Mappings.Should().Equal(Area(0, 0x4000));
        Show(plan).Should().Be("mapped 0+4000/0");
        plan.MappedLength.Should().Be(0x4000);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void If_nothing_is_mappable_the_bar_traps()
    {
        BarPlan plan = BarPlanner.Plan(Request(0x4000));
        plan.Mappings.Should().BeEmpty();
        Show(plan).Should().Be("trapped 0+4000");
    }

    [Theory]
    [Trait("Behaviour", "VFIO-3")]
    [InlineData(
        0x2000, 0x100, 0x3000, 0x10, "mapped 0+2000/0, table 2000+100, trapped 2100+f00, pending 3000+10, trapped 3010+ff0, mapped 4000+4000/0")]
    [InlineData(
        0x2000, 0x100, 0x2800, 0x10, "mapped 0+2000/0, table 2000+100, trapped 2100+700, pending 2800+10, trapped 2810+7f0, mapped 3000+5000/0")]
    [InlineData(
        0x2800, 0x100, 0x2000, 0x10, "mapped 0+2000/0, pending 2000+10, trapped 2010+7f0, table 2800+100, trapped 2900+700, mapped 3000+5000/0")]
    [InlineData(
        0x1ff0, 0x20, 0x3ff8, 0x10,
        "mapped 0+1000/0, trapped 1000+ff0, table 1ff0+20, trapped 2010+1fe8, pending 3ff8+10, trapped 4008+ff8, mapped 5000+3000/0")]
    [InlineData(0x7f00, 0x100, 0x0, 0x8, "pending 0+8, trapped 8+ff8, mapped 1000+6000/0, trapped 7000+f00, table 7f00+100")]
    [InlineData(0x0, 0x8000, 0x0, 0x0, "table 0+8000")]
    [InlineData(0x4000, 0x1000, 0x3000, 0x1000, "mapped 0+3000/0, pending 3000+1000, table 4000+1000, mapped 5000+3000/0")]
    public void Table_and_pending_bits_are_cut_out_by_whole_pages(int table, int tableLength, int pending, int pendingLength, string expected)
    {
        BarRequest request = Request(0x8000, Area(0, 0x8000)) with
        {
            Table = Area((ulong)table, (ulong)tableLength),
            PendingBits = pendingLength == 0 ? null : Area((ulong)pending, (ulong)pendingLength),
        };
        BarPlan plan = BarPlanner.Plan(request);

        Show(plan).Should().Be(expected);
        plan.Mappings.Should().HaveCount(plan.MappedLength == 0 ? 0 : 1, "an area that may contain the table is mapped exactly as reported");
        CheckInvariants(request, plan);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Where_the_table_must_not_be_in_a_mapping_the_host_maps_around_it()
    {
        RegionArea table = Area(0x2000, 0x100);
        BarRequest request = Request(0x8000, Area(0, 0x8000)) with { TableIsMappable = false, Table = table, PendingBits = Area(0x3000, 8) };
        BarPlan plan = BarPlanner.Plan(request);
        plan.Mappings.Should().Equal(Area(0, 0x2000), Area(0x4000, 0x4000));
        Show(plan).Should().Be("mapped 0+2000/0, table 2000+100, trapped 2100+f00, pending 3000+8, trapped 3008+ff8, mapped 4000+4000/1");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Table_and_pending_bits_in_another_bar_do_not_concern_this_one()
    {
        Show(BarPlanner.Plan(Request(0x2000, Area(0, 0x2000)) with { TableIsMappable = false })).Should().Be("mapped 0+2000/0");
        Show(BarPlanner.Plan(Request(0x2000, Area(0, 0x2000)) with { PendingBits = Area(0x1008, 8) })).Should().Be(
            "mapped 0+1000/0, trapped 1000+8, pending 1008+8, trapped 1010+ff0");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Sparse_areas_are_mapped_exactly_as_reported_and_what_lies_between_traps()
    {
        BarPlan plan = BarPlanner.Plan(Request(0x1_0000, Area(0x8000, 0x2000), Area(0x1000, 0x1000), Area(0xa000, 0x1000)));
        plan.Mappings.Should().Equal(Area(0x1000, 0x1000), Area(0x8000, 0x2000), Area(0xa000, 0x1000));
        Show(plan).Should().Be("trapped 0+1000, mapped 1000+1000/0, trapped 2000+6000, mapped 8000+2000/1, mapped a000+1000/2, trapped b000+5000");
    }

    [Theory]
    [Trait("Behaviour", "VFIO-3")]
    [InlineData(0x800, 0x1000)]
    [InlineData(0x1000, 0x800)]
    [InlineData(0x7000, 0x2000)]
    [InlineData(0x9000, 0x1000)]
    [InlineData(0, 0)]
    [InlineData(0xffff_ffff_ffff_f000, 0x2000)]
    public void An_area_that_is_no_whole_pages_inside_the_bar_is_not_used(ulong offset, ulong length)
    {
        BarPlan plan = BarPlanner.Plan(Request(0x8000, Area(offset, length), Area(0x2000, 0x1000)));
        plan.Mappings.Should().Equal(Area(0x2000, 0x1000));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Of_two_areas_that_overlap_the_first_is_used()
    {
        BarPlanner.Plan(Request(0x8000, Area(0x1000, 0x3000), Area(0x2000, 0x4000))).Mappings.Should().Equal(Area(0x1000, 0x3000));
    }

    [Theory]
    [Trait("Behaviour", "VFIO-3")]
    [InlineData(0x10)]
    [InlineData(0x100)]
    [InlineData(0x800)]
    public void A_bar_smaller_than_a_page_traps(ulong size)
    {
        Show(BarPlanner.Plan(Request(size, Area(0, size)))).Should().Be($"trapped 0+{size:x}");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Ranges_of_a_quirk_are_rounded_out_merged_and_cut_out_too()
    {
        BarRequest request = Request(0x8000, Area(0, 0x8000)) with { Trapped = [Area(0x3ffc, 8), Area(0x4100, 4), Area(0x1004, 4), Area(0x5000, 1)] };
        Show(BarPlanner.Plan(request)).Should().Be("mapped 0+1000/0, trapped 1000+1000, mapped 2000+1000/0, trapped 3000+3000, mapped 6000+2000/0");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void An_area_of_which_nothing_is_left_is_not_mapped()
    {
        BarRequest request = Request(0x4000, Area(0, 0x1000), Area(0x2000, 0x1000)) with { Table = Area(0, 0x10) };
        BarPlan plan = BarPlanner.Plan(request);
        plan.Mappings.Should().Equal(Area(0x2000, 0x1000));
        Show(plan).Should().Be("table 0+10, trapped 10+1ff0, mapped 2000+1000/0, trapped 3000+1000");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    public void Pages_of_64_KiB_round_wider()
    {
        var request = new BarRequest
        {
            Size = 0x4_0000,
            PageSize = 0x1_0000,
            MappableAreas = [Area(0, 0x4_0000)],
            TableIsMappable = true,
            Table = Area(0x2000, 0x100),
        };
        Show(BarPlanner.Plan(request)).Should().Be("trapped 0+2000, table 2000+100, trapped 2100+df00, mapped 10000+30000/0");
    }

    [Fact]
    public void What_lies_outside_of_the_bar_is_refused()
    {
        FluentActions.Invoking(() => BarPlanner.Plan(Request(0x1000) with { Table = Area(0xff0, 0x20) })).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => BarPlanner.Plan(Request(0x1000) with { Trapped = [Area(ulong.MaxValue, 2)] }))
            .Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => BarPlanner.Plan(Request(0x1000) with { Trapped = [Area(0, 0)] })).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => BarPlanner.Plan(Request(0x1000) with { Table = Area(0, 0x20), PendingBits = Area(0x18, 8) }))
            .Should().Throw<ArgumentException>().WithMessage("*overlap*");
        FluentActions.Invoking(() => BarPlanner.Plan(Request(0x1000) with { PageSize = 0xfff })).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-3")]
    [Trait("Category", "Long")]
    public void Any_geometry_gives_every_byte_once_and_never_maps_a_trapped_page()
    {
        var random = new Random(4);
        for (int round = 0; round < 20_000; round++)
        {
            ulong size = 1ul << random.Next(4, 18);
            RegionArea[] areas = Enumerable.Range(0, random.Next(4))
                .Select(_ => Area((ulong)random.Next(0, 80) * 0x400, (ulong)random.Next(0, 80) * 0x400))
                .ToArray();
            BarRequest request = Request(size, areas) with { TableIsMappable = random.Next(2) == 0, Trapped = Ranges(random, size, random.Next(3)) };
            List<RegionArea> tables = Ranges(random, size, 2);
            bool apart = tables[0].Offset + tables[0].Length <= tables[1].Offset || tables[1].Offset + tables[1].Length <= tables[0].Offset;
            request = request with { Table = random.Next(3) == 0 ? null : tables[0], PendingBits = apart && random.Next(3) != 0 ? tables[1] : null };
            CheckInvariants(request, BarPlanner.Plan(request));
        }
    }

    private static void CheckInvariants(BarRequest request, BarPlan plan)
    {
        ulong at = 0;
        foreach (BarPiece piece in plan.Pieces)
        {
            piece.Offset.Should().Be(at);
            piece.Length.Should().BePositive();
            at += piece.Length;
            if (piece.Kind == BarPieceKind.Mapped)
            {
                ((piece.Offset | piece.Length) & (request.PageSize - 1)).Should().Be(0);
                RegionArea mapping = plan.Mappings[piece.Mapping];
                (piece.Offset >= mapping.Offset && piece.Offset + piece.Length <= mapping.Offset + mapping.Length).Should().BeTrue();
            }
        }

        at.Should().Be(request.Size);
        IEnumerable<RegionArea> trapped = request.Trapped.Concat(new[] { request.Table, request.PendingBits }.OfType<RegionArea>());
        foreach (RegionArea range in trapped)
        {
            plan.Pieces.Any(
                piece => piece.Kind == BarPieceKind.Mapped
                    && piece.Offset < range.Offset + range.Length
                    && range.Offset < piece.Offset + piece.Length)
                .Should().BeFalse("{0} is trapped", range);
        }

        foreach (RegionArea mapping in plan.Mappings)
        {
            request.MappableAreas.Any(area => area.Offset <= mapping.Offset && mapping.Offset + mapping.Length <= area.Offset + area.Length)
                .Should().BeTrue("{0} is mappable", mapping);
            if (!request.TableIsMappable && request.Table is { } table)
            {
                (mapping.Offset < table.Offset + table.Length && table.Offset < mapping.Offset + mapping.Length).Should().BeFalse();
            }
        }
    }

    private static List<RegionArea> Ranges(Random random, ulong size, int count)
    {
        return Enumerable.Range(0, count).Select(_ =>
        {
            ulong offset = (ulong)random.NextInt64((long)size);
            return Area(offset, (ulong)random.NextInt64(1, (long)(size - offset) + 1));
        }).ToList();
    }

    private static BarRequest Request(ulong size, params RegionArea[] areas)
    {
        return new BarRequest { Size = size, PageSize = Page, MappableAreas = areas, TableIsMappable = true };
    }

    private static RegionArea Area(ulong offset, ulong length) => new(offset, length);

    private static string Show(BarPlan plan)
    {
        return string.Join(", ", plan.Pieces.Select(piece => piece.Kind switch
        {
            BarPieceKind.Mapped => $"mapped {piece.Offset:x}+{piece.Length:x}/{piece.Mapping}",
            BarPieceKind.Table => $"table {piece.Offset:x}+{piece.Length:x}",
            BarPieceKind.PendingBits => $"pending {piece.Offset:x}+{piece.Length:x}",
            _ => $"trapped {piece.Offset:x}+{piece.Length:x}",
        }));
    }
}
