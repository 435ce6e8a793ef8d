using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;

namespace Vmm.Tests.DeviceModel.Registers;

public sealed class RegisterMapTests
{
    // Made anew for each test, so that mutation testing reaches the making too.
    private RegisterMap<Block> Exact { get; } = new("block", length: 0x40)
    {
        { 0x00, 4, RegisterAccess.ReadWrite, "control", static d => d.Control, static (d, v) => d.Control = (uint)v },
        { 0x04, 4, RegisterAccess.ReadOnly, "status", static d => 0xFFFF_FFFF_1234_5678 },
        { 0x08, 2, RegisterAccess.WriteOnly, "kick", static (d, v) => d.Log.Add($"kick {v:x}") },
        { 0x0A, 1, RegisterAccess.ReadSideEffect, "isr", static d => d.TakeIsr() },
        { 0x10, 8, RegisterAccess.ReadWrite, "address", static d => d.Address, static (d, v) => d.Address = v },
        { 0x18, 8, RegisterAccess.WriteOnly, "base", static (d, v, mask) => d.Log.Add($"base {v:x} {mask:x}") },
        { 0x20, 4, RegisterAccess.ReadWrite, "low", 4, 8, static (d, i) => d.Array[i], static (d, i, v) => d.Array[i] = (uint)v },
        { 0x24, 2, RegisterAccess.ReadOnly, "index", 4, 8, static (d, i) => (ulong)i },
    };

    private RegisterMap<Block> Lanes { get; } = new("lanes", length: 0x20, RegisterPolicy.Lanes, RegisterGap.Ones)
    {
        { 0x00, 4, RegisterAccess.ReadWrite, "control", static d => d.Control, static (d, v, m) => d.Merge(v, m) },
        { 0x04, 2, RegisterAccess.ReadOnly, "id", static d => 0xBEEF },
        { 0x06, 1, RegisterAccess.ReadSideEffect, "isr", static d => d.TakeIsr() },
        { 0x08, 1, RegisterAccess.ReadWrite, "byte", static d => 0x42, static (d, v) => d.Log.Add($"byte {v:x}") },
        { 0x10, 4, RegisterAccess.ReadWrite, "array", 2, 4, static (d, i) => d.Array[i], static (d, i, v, m) => d.Log.Add($"array[{i}] {v:x} {m:x}") },
    };

    private RegisterMap<Block> Bytes { get; } = new("bytes", length: 4, RegisterPolicy.Bytes, RegisterGap.Ones)
    {
        { 0, 1, RegisterAccess.ReadSideEffect, "isr", static d => d.TakeIsr() },
        { 1, 1, RegisterAccess.WriteOnly, "kick", static (d, v) => d.Log.Add($"kick {v:x}") },
        { 2, 1, RegisterAccess.ReadWrite, "control", static d => d.Control, static (d, v) => d.Control = (uint)v },
    };

    [Fact]
    public void A_block_of_bytes_takes_a_wide_access_apart()
    {
        var block = new Block { Isr = 0x80, Control = 0x42 };
        Bytes.Read(block, 0, 4).Should().Be(0xff42_0080);
        block.Isr.Should().Be(0, "reads that change state happen for each byte too");
        Bytes.Write(block, 0, 8, 0x1111_1111_1133_2211);
        block.Log.Should().Equal("kick 22");
        block.Control.Should().Be(0x33);
        Bytes.Read(block, ulong.MaxValue, 2).Should().Be(0xffff);
        Bytes.Write(block, ulong.MaxValue, 8, ulong.MaxValue);
        block.Control.Should().Be(0x33, "nothing wraps to the start");
    }

    [Fact]
    public void A_block_of_bytes_has_no_wider_register()
    {
        Action wide = static () => _ = new RegisterMap<Block>("bytes", 4, RegisterPolicy.Bytes)
        {
            { 0, 2, RegisterAccess.ReadOnly, "wide", static _ => 0 },
        };
        wide.Should().Throw<ArgumentException>().WithMessage("*1 byte wide*");
    }

    [Fact]
    public void A_bound_map_answers_for_its_device_alone()
    {
        var one = new Block();
        var two = new Block();
        IRegisterBlock bound = Exact.Bind(one);
        Exact.Bind(two).Write(0, 4, 2);
        bound.Write(0, 4, 1);
        (one.Control, two.Control).Should().Be((1, 2));
        bound.Read(0, 4).Should().Be(1);
        bound.Read(0x100, 4).Should().Be(0);
        bound.Name.Should().Be("block");
        bound.Registers.Should().Equal(Exact);
        Action none = () => Exact.Bind(null!);
        none.Should().Throw<ArgumentNullException>();
    }

    [Fact]
    public void Inspection_reads_what_reading_does_not_change()
    {
        var block = new Block { Isr = 1, Control = 7, Address = 0x1_0000_0000 };
        block.Array[3] = 9;
        IRegisterBlock bound = Exact.Bind(block);
        var node = new InspectionNode("device");
        bound.Inspect(node);

        node.Values.Select(static value => $"{value.Name}={value.Text}").Should().Equal(
            "control=0x00000007", "status=0x12345678", "address=0x0000000100000000",
            "low[0]=0x00000000", "low[1]=0x00000000", "low[2]=0x00000000", "low[3]=0x00000009",
            "index[0]=0x0000", "index[1]=0x0001", "index[2]=0x0002", "index[3]=0x0003");
        block.Isr.Should().Be(1);
        block.Log.Should().BeEmpty();
        foreach (RegisterInfo register in bound.Registers)
        {
            register.ReadsSafely.Should().Be(register.Name is not ("kick" or "isr" or "base"));
            bound.TryPeek(register, 0, out _).Should().Be(register.ReadsSafely);
        }

        Action beyond = () => bound.TryPeek(bound.Registers[0], 1, out _);
        beyond.Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_trace_names_the_register_that_is_selected()
    {
        var block = new Block { Control = 3 };
        IRegisterBlock bound = new RegisterMap<Block>("block", 0x20)
        {
            { 0x00, 4, RegisterAccess.ReadWrite, "select", static d => d.Control, static (d, v) => d.Control = (uint)v },
            { 0x08, 8, RegisterAccess.ReadWrite, "queue", static d => d.Address, static (d, v) => d.Address = v },
            { 0x10, 4, RegisterAccess.ReadOnly, "array", 2, 8, static (d, i) => d.Array[i] },
        }.SelectedBy(static d => (int)d.Control, "queue").Bind(block);

        (bound.SelectedAt(0), bound.SelectedAt(0xc), bound.SelectedAt(0x10), bound.SelectedAt(0x14), bound.SelectedAt(0x1000))
            .Should().Be((-1, 3, -1, -1, -1));
        bound.Describe(0xc, 3).Should().Be("block.queue[3]+4");
        bound.Describe(0x8, -1).Should().Be("block.queue");
        bound.Describe(0x18, -1).Should().Be("block.array[1]");
        bound.Describe(0x14, 3).Should().Be("block+0x14");
        Action wrong = static () => new RegisterMap<Block>("block", 4).SelectedBy(static _ => 0, "nothing");
        wrong.Should().Throw<ArgumentException>().WithMessage("*'nothing'*");
    }

    [Fact]
    public void A_register_is_read_and_written_at_its_natural_width()
    {
        var block = new Block();
        Exact.Write(block, 0, 4, 0xAABB_CCDD_1122_3344);
        block.Control.Should().Be(0x1122_3344);
        Exact.Read(block, 0, 4).Should().Be(0x1122_3344);
    }

    [Fact]
    public void Bits_above_the_width_never_reach_the_guest()
    {
        Exact.Read(new Block(), 4, 4).Should().Be(0x1234_5678);
    }

    [Fact]
    public void Exact_blocks_answer_no_other_offset_or_width_and_no_handler_runs()
    {
        var block = new Block { Control = 0xFFFF_FFFF, Address = ulong.MaxValue, Isr = 1 };
        int answered = 0;
        for (ulong offset = 0; offset < 0x50; offset++)
        {
            for (int width = 1; width <= 8; width++)
            {
                bool natural = Natural((int)offset, width);
                int reads = block.Reads;
                ulong value = Exact.Read(block, offset, width);
                if (!natural)
                {
                    value.Should().Be(0, "offset {0} width {1}", offset, width);
                    block.Reads.Should().Be(reads);
                    Exact.Write(block, offset, width, 0);
                }

                answered += natural ? 1 : 0;
            }
        }

        answered.Should().Be(4 + 3 + 3 + 8);
        block.Control.Should().Be(0xFFFF_FFFF);
        block.Address.Should().Be(ulong.MaxValue);
        block.Log.Should().BeEmpty();

        static bool Natural(int offset, int width) => (offset, width) switch
        {
            (0, 4) or (4, 4) or (8, 2) or (0xA, 1) => true,
            (0x10, 8) or (0x10, 4) or (0x14, 4) => true,
            (0x18, 8) or (0x18, 4) or (0x1C, 4) => true,
            ( >= 0x20, 4) => offset % 8 == 0 && offset < 0x40,
            ( >= 0x20, 2) => offset % 8 == 4 && offset < 0x40,
            _ => false,
        };
    }

    [Fact]
    public void A_64_bit_register_is_one_access_or_two_halves()
    {
        var block = new Block();
        Exact.Write(block, 0x10, 4, 0x1111_1111);
        Exact.Write(block, 0x14, 4, 0x2222_2222);
        block.Address.Should().Be(0x2222_2222_1111_1111);
        Exact.Read(block, 0x10, 4).Should().Be(0x1111_1111);
        Exact.Read(block, 0x14, 4).Should().Be(0x2222_2222);
        Exact.Write(block, 0x10, 8, 0x3333_3333_4444_4444);
        Exact.Read(block, 0x10, 8).Should().Be(0x3333_3333_4444_4444);
    }

    [Fact]
    public void A_lane_handler_gets_halves_with_their_mask()
    {
        var block = new Block();
        Exact.Write(block, 0x1C, 4, 0xABCD);
        Exact.Write(block, 0x18, 8, 7);
        block.Log.Should().Equal("base abcd00000000 ffffffff00000000", "base 7 ffffffffffffffff");
    }

    [Fact]
    public void Read_only_registers_drop_writes_and_write_only_registers_read_as_zero()
    {
        var block = new Block();
        Exact.Write(block, 4, 4, 1);
        Exact.Write(block, 8, 2, 0x1_0002);
        block.Log.Should().Equal("kick 2");
        Exact.Read(block, 8, 2).Should().Be(0);
        Exact.Read(block, 0x18, 8).Should().Be(0);
    }

    [Fact]
    public void Arrays_reach_each_element_by_its_index()
    {
        var block = new Block();
        for (uint i = 0; i < 4; i++)
        {
            Exact.Write(block, 0x20 + (8 * i), 4, i + 100);
            Exact.Read(block, 0x20 + (8 * i), 4).Should().Be(i + 100);
            Exact.Read(block, 0x24 + (8 * i), 2).Should().Be(i);
        }

        block.Array.Should().Equal(100, 101, 102, 103);
    }

    [Theory]
    [InlineData(ulong.MaxValue, 8)]
    [InlineData(ulong.MaxValue - 3, 8)]
    [InlineData(0x40, 1)]
    [InlineData(0x1_0000_0000, 4)]
    [InlineData(0, 0)]
    [InlineData(0, -1)]
    [InlineData(0x3C, 8)]
    [InlineData(0x0C, 0)]
    public void Nothing_outside_the_block_throws(ulong offset, int width)
    {
        var block = new Block { Control = 5 };
        foreach (RegisterMap<Block>? map in new[] { Exact, Lanes })
        {
            map.Invoking(m => m.Write(block, offset, width, 1)).Should().NotThrow();
            map.Invoking(m => m.Read(block, offset, width)).Should().NotThrow();
        }

        block.Control.Should().Be(5);
    }

    [Theory]
    [InlineData(0, 1, 0x44)]
    [InlineData(1, 1, 0x33)]
    [InlineData(2, 2, 0x1122)]
    [InlineData(1, 4, 0xEF112233)]
    [InlineData(0, 8, 0xFFFF_BEEF_1122_3344)]
    [InlineData(4, 4, 0xFFFF_BEEF)]
    [InlineData(7, 2, 0x42FF)]
    [InlineData(3, 3, 0xBEEF11)]
    [InlineData(0x1E, 4, 0xFFFF_FFFF)]
    public void Lanes_assemble_a_read_from_what_it_covers(ulong offset, int width, ulong expected)
    {
        var block = new Block { Control = 0x1122_3344, Isr = 9 };
        Lanes.Read(block, offset, width).Should().Be(expected);
        block.Isr.Should().Be(9, "a register with read side effects answers only an access of its own");
    }

    [Fact]
    public void A_read_with_side_effects_happens_once_for_its_own_access()
    {
        var block = new Block { Isr = 3 };
        Lanes.Read(block, 6, 1).Should().Be(3);
        Lanes.Read(block, 6, 1).Should().Be(0);
    }

    [Fact]
    public void A_write_to_lanes_reaches_handlers_with_a_mask_and_reads_nothing()
    {
        var block = new Block { Control = 0x1122_3344, Isr = 9 };
        Lanes.Write(block, 1, 1, 0xEE);
        block.Control.Should().Be(0x1122_EE44);
        Lanes.Write(block, 2, 4, 0xAAAA_BBBB);
        block.Control.Should().Be(0xBBBB_EE44);
        Lanes.Write(block, 0x12, 4, 0x5678_1234);
        Lanes.Write(block, 6, 4, 0x99_1111);
        block.Log.Should().Equal("array[0] 12340000 ffff0000", "array[1] 5678 ffff", "byte 99");
        block.Isr.Should().Be(9);
        block.Reads.Should().Be(0);
    }

    [Fact]
    public void Every_access_of_a_lane_block_equals_its_bytes()
    {
        var block = new Block { Control = 0x8877_6655 };
        for (ulong offset = 0; offset < 0x20; offset++)
        {
            for (int width = 1; width <= 8; width++)
            {
                ulong bytes = 0;
                for (int i = 0; i < width; i++)
                {
                    // The register with read side effects answers byte reads alone.
                    ulong one = offset + (ulong)i == 6 && width > 1 ? 0xFF : Lanes.Read(block, offset + (ulong)i, 1);
                    bytes |= one << (8 * i);
                }

                Lanes.Read(block, offset, width).Should().Be(bytes, "offset {0} width {1}", offset, width);
            }
        }
    }

    [Fact]
    public void Accesses_allocate_nothing()
    {
        var block = new Block();
        Run(block);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(block);
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);

        void Run(Block block)
        {
            for (int i = 0; i < 1000; i++)
            {
                Exact.Write(block, 0, 4, (ulong)i);
                Exact.Read(block, 0, 4);
                Exact.Write(block, 0x14, 4, (ulong)i);
                Exact.Read(block, 0x28, 4);
                Exact.Read(block, 0x3F, 8);
                Lanes.Read(block, 1, 7);
                Lanes.Write(block, 1, 2, 1);
            }
        }
    }

    [Fact]
    public void The_table_is_enumerated_by_offset_and_printed()
    {
        Exact.Select(r => r.Offset).Should().BeInAscendingOrder();
        RegisterTable.ToMarkdown(Exact).Should().Be(
            """
            | offset | bytes | access | register |
            |---|---|---|---|
            | 0x00 | 4 | RW | `control` |
            | 0x04 | 4 | RO | `status` |
            | 0x08 | 2 | WO | `kick` |
            | 0x0a | 1 | read has side effects | `isr` |
            | 0x10 | 8 | RW | `address` |
            | 0x18 | 8 | WO | `base` |
            | 0x20 | 4 | RW | `low`[4], every 0x8 |
            | 0x24 | 2 | RO | `index`[4], every 0x8 |

            """);
    }

    [Theory]
    [InlineData(0x00, "block.control")]
    [InlineData(0x02, "block.control+2")]
    [InlineData(0x14, "block.address+4")]
    [InlineData(0x30, "block.low[2]")]
    [InlineData(0x35, "block.index[2]+1")]
    [InlineData(0x0C, "block+0xc")]
    [InlineData(0x40, "block+0x40")]
    [InlineData(ulong.MaxValue, "block+0xffffffffffffffff")]
    public void Offsets_have_names_for_traces(ulong offset, string expected)
    {
        Exact.Describe(offset).Should().Be(expected);
    }

    private sealed class Block
    {
        public uint Control { get; set; }

        public ulong Address { get; set; }

        public byte Isr { get; set; }

        public int Reads { get; private set; }

        public uint[] Array { get; } = new uint[4];

        public List<string> Log { get; } = [];

        public ulong TakeIsr()
        {
            Reads++;
            byte isr = Isr;
            Isr = 0;
            return isr;
        }

        public void Merge(ulong value, ulong mask)
        {
            if ((value & ~mask) != 0)
            {
                throw new ArgumentException("bits outside the mask");
            }

            Control = (Control & ~(uint)mask) | (uint)value;
        }
    }
}
