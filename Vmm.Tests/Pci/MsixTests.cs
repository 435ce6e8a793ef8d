using System;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>MSI-X as a driver programs it.</summary>
public sealed class MsixTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(33)]
    [InlineData(64)]
    [InlineData(65)]
    [InlineData(2048)]
    [Trait("Behaviour", "MSIX-1")]
    [Trait("Behaviour", "MSIX-6")]
    public void Power_on_is_disabled_masked_and_without_pending_bits(int vectors)
    {
        var rig = new MsixRig(vectors);
        rig.Rig.Read(rig.Control, 2).Should().Be((uint)(vectors - 1));
        rig.Rig.Read(rig.Msix.Offset, 1).Should().Be(0x11);
        rig.Rig.Read(rig.Msix.Offset + 4, 4).Should().Be(0x1000);
        rig.Rig.Read(rig.Msix.Offset + 8, 4).Should().Be(0x800);
        for (int i = 0; i < vectors; i++)
        {
            rig.Read(i, 0).Should().Be(0);
            rig.Read(i, 4).Should().Be(0);
            rig.Read(i, 8).Should().Be(0);
            rig.Read(i, 12).Should().Be(1);
        }

        MsixCapability.PendingLength(vectors).Should().Be((ulong)(Math.Ceiling(vectors / 64.0) * 8));
        for (ulong offset = 0; offset < MsixCapability.PendingLength(vectors); offset += 8)
        {
            rig.Rig.Memory.Read(rig.Pending + offset, 8).Should().Be(0);
        }

        rig.Rig.Memory.Read(rig.Pending + MsixCapability.PendingLength(vectors), 8).Should().Be(ulong.MaxValue, "the array ends there");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-1")]
    public void A_table_has_1_to_2048_vectors()
    {
        FluentActions.Invoking(() => new MsixCapability(0, 0, 0, 0, 0x8000)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new MsixCapability(2049, 0, 0, 0, 0x10000)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new MsixCapability(1, 6, 0, 0, 0x8000)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 6, 0x8000)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new MsixCapability(1, -1, 0, 0, 0x8000)).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new MsixCapability(1, 0, 4, 0, 0x8000)).Should().Throw<ArgumentException>().WithMessage("*multiples of 8*");
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 0, 0x8004)).Should().Throw<ArgumentException>().WithMessage("*multiples of 8*");
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 0, 8)).Should().Throw<ArgumentException>().WithMessage("*overlap*");
        FluentActions.Invoking(() => new MsixCapability(1, 0, 0, 0, 16)).Should().NotThrow();
        FluentActions.Invoking(() => new MsixCapability(2048, 5, 0, 5, 0x8000)).Should().NotThrow();
        FluentActions.Invoking(() => new MsixCapability(2048, 5, 0, 5, 0x7ff8)).Should().Throw<ArgumentException>().WithMessage("*overlap*");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-2")]
    public void The_control_word_takes_every_width_and_keeps_enable_and_mask_only()
    {
        var rig = new MsixRig(5);
        rig.Rig.Write(rig.Msix.Offset, 4, 0xffff_ffff);
        rig.Rig.Read(rig.Msix.Offset, 4).Should().Be(0xc004_0011);
        rig.Rig.Write(rig.Control, 2, 0x8000);
        rig.Rig.Read(rig.Control, 2).Should().Be(0x8004);
        rig.Msix.IsEnabled.Should().BeTrue();
        rig.Msix.IsFunctionMasked.Should().BeFalse();
        rig.Rig.Write(rig.Control + 1, 1, 0x40);
        rig.Rig.Read(rig.Control, 2).Should().Be(0x4004);
        rig.Rig.Write(rig.Control, 1, 0xff);
        rig.Rig.Read(rig.Control, 2).Should().Be(0x4004);
        rig.Rig.PortWrite(rig.Control + 1, 1, 0x80);
        rig.Msix.IsEnabled.Should().BeTrue();
        rig.Rig.Write(rig.Msix.Offset + 4, 4, 0xffff_ffff);
        rig.Rig.Write(rig.Msix.Offset + 8, 4, 0xffff_ffff);
        rig.Rig.Read(rig.Msix.Offset + 4, 4).Should().Be(0x1000);
        rig.Rig.Read(rig.Msix.Offset + 8, 4).Should().Be(0x800);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(20260101)]
    [Trait("Behaviour", "MSIX-3")]
    public void Table_accesses_agree_with_a_model_of_dwords(int seed)
    {
        const int Vectors = 7;
        var rig = new MsixRig(Vectors);
        uint[] model = new uint[Vectors * 4];
        for (int i = 0; i < Vectors; i++)
        {
            model[(i * 4) + 3] = 1;
        }

        var random = new Random(seed);
        for (int i = 0; i < 20_000; i++)
        {
            int width = 1 << random.Next(4);
            ulong offset = (ulong)(random.Next(Vectors * 16 / width) * width);
            if (random.Next(2) == 0)
            {
                ulong value = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
                rig.Msix.TableHandler.Write(offset, width, value);
                for (int half = 0; width >= 4 && half < width / 4; half++)
                {
                    uint dword = (uint)(value >> (32 * half));
                    int at = (int)(offset / 4) + half;
                    model[at] = (at % 4) switch { 0 => dword & ~3u, 3 => dword & 1, _ => dword };
                }
            }
            else
            {
                ulong expected = width < 4 ? ulong.MaxValue : model[offset / 4] | (width == 8 ? (ulong)model[(offset / 4) + 1] << 32 : 0);
                (rig.Msix.TableHandler.Read(offset, width) & (ulong.MaxValue >> (64 - (8 * width)))).Should()
                    .Be(expected & (ulong.MaxValue >> (64 - (8 * width))));
            }
        }
    }

    [Fact]
    [Trait("Behaviour", "MSIX-3")]
    public void Quad_words_cross_fields_and_entries()
    {
        var rig = new MsixRig(2);
        IRegionHandler table = rig.Msix.TableHandler;
        table.Write(4, 8, 0x11111111_00000001);
        rig.Read(0, 4).Should().Be(1);
        rig.Read(0, 8).Should().Be(0x11111111);
        table.Write(12, 8, 0xfee00000_00000000);
        rig.Read(0, 12).Should().Be(0);
        rig.Read(1, 0).Should().Be(0xfee00000);
        table.Read(12, 8).Should().Be(0xfee00000_00000000);
        table.Write(28, 8, 0);
        rig.Read(1, 12).Should().Be(0);
        table.Read(28, 8).Should().Be(0xffffffff_00000000, "past the end there is nothing");
        rig.Rig.Memory.Write(rig.Table + 4, 8, 0x22222222_00000002);
        rig.Read(0, 8).Should().Be(0x22222222, "the bus splits what is not aligned to its size");
    }

    [Theory]
    [InlineData(0ul, 1)]
    [InlineData(1ul, 1)]
    [InlineData(14ul, 2)]
    [InlineData(2ul, 4)]
    [InlineData(2ul, 8)]
    [InlineData(64ul, 4)]
    [InlineData(64ul, 8)]
    [InlineData(ulong.MaxValue - 3, 4)]
    [Trait("Behaviour", "MSIX-3")]
    public void Other_accesses_are_ignored_and_read_all_ones(ulong offset, int width)
    {
        var rig = new MsixRig(4);
        rig.Msix.TableHandler.Write(offset, width, 0);
        (rig.Msix.TableHandler.Read(offset, width) | ~(ulong.MaxValue >> (64 - (8 * width)))).Should().Be(ulong.MaxValue);
        Enumerable.Range(0, 4).Select(i => rig.Read(i, 12)).Should().OnlyContain(static control => control == 1);
        if (width < 4)
        {
            rig.Msix.PendingHandler.Read(0, width).Should().Be(ulong.MaxValue);
        }
    }

    [Fact]
    [Trait("Behaviour", "MSIX-4")]
    [Trait("Behaviour", "MSIX-7")]
    public void Masked_events_become_pending_and_are_sent_once_when_unmasked()
    {
        var rig = new MsixRig();
        rig.Program(1, 0x1_fee01000, 0x4041);
        rig.Enable();
        rig.Msix[1].Signal();
        rig.Rig.Sink.Sent.Should().Equal(new SentMsi(new MsiMessage(0x1_fee01000, 0x4041), 0x18));

        rig.Mask(1, true);
        rig.Msix[1].Signal();
        rig.Msix[1].Signal();
        rig.PendingBits().Should().Be(2);
        rig.Rig.Sink.Count.Should().Be(1);
        rig.Mask(1, false);
        rig.Rig.Sink.Count.Should().Be(2);
        rig.PendingBits().Should().Be(0);
        rig.Mask(1, true);
        rig.Mask(1, false);
        rig.Rig.Sink.Count.Should().Be(2);
        rig.Msix[1].Sent.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-4")]
    [Trait("Behaviour", "MSIX-7")]
    public void The_function_mask_holds_all_vectors_back()
    {
        var rig = new MsixRig();
        rig.Program(0, 0xfee00000, 0x30);
        rig.Program(2, 0xfee00000, 0x32);
        rig.Program(3, 0xfee00000, 0x33, masked: true);
        rig.Enable(functionMask: true);
        rig.Msix[0].Signal();
        rig.Msix[2].Signal();
        rig.Msix[3].Signal();
        rig.PendingBits().Should().Be(0xd);
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Rig.Write(rig.Control + 1, 1, 0x80);
        rig.Rig.Sink.Sent.Select(static sent => sent.Message.Data).Should().Equal(0x30u, 0x32u);
        rig.PendingBits().Should().Be(8);
        rig.Enable(functionMask: true);
        rig.Enable();
        rig.Rig.Sink.Count.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-4")]
    public void With_MSIX_disabled_nothing_is_sent()
    {
        var rig = new MsixRig();
        rig.Program(0, 0xfee00000, 0x30);
        rig.Msix[0].Signal();
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Enable();
        rig.Rig.Sink.Count.Should().Be(1, "the event was not lost");
        rig.Disable();
        rig.Msix[0].Signal();
        rig.Rig.Sink.Count.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void Bus_master_enable_gates_messages()
    {
        var rig = new MsixRig();
        rig.Program(0, 0xfee00000, 0x30);
        rig.Enable();
        rig.Rig.Write(4, 2, 2);
        rig.Msix[0].Signal();
        rig.Rig.Sink.Count.Should().Be(0);
        rig.PendingBits().Should().Be(1);
        rig.Rig.Write(4, 2, 6);
        rig.Rig.Sink.Count.Should().Be(1);
        rig.PendingBits().Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-8")]
    public void With_MSIX_enabled_the_pin_is_silent()
    {
        var rig = new MsixRig();
        rig.Function.Intx.SetLevel(true);
        rig.Rig.Lines[19].IsAsserted.Should().BeTrue();
        rig.Enable();
        rig.Rig.Lines[19].IsAsserted.Should().BeFalse();
        rig.Function.IsMsixEnabled.Should().BeTrue();
        (rig.Rig.Read(6, 2) & 8).Should().Be(0);
        rig.Disable();
        rig.Rig.Lines[19].IsAsserted.Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "MSIX-6")]
    public void The_pending_array_is_read_only()
    {
        var rig = new MsixRig(65);
        rig.Msix[64].Signal();
        rig.PendingBits(1).Should().Be(1);
        rig.Rig.Memory.Write(rig.Pending + 8, 8, 0);
        rig.Rig.Memory.Write(rig.Pending, 4, 0xff);
        rig.PendingBits(1).Should().Be(1);
        rig.PendingBits().Should().Be(0);
        rig.Rig.Memory.Read(rig.Pending + 8, 4).Should().Be(1);
        rig.Rig.Memory.Read(rig.Pending + 12, 4).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-6")]
    public void The_pending_array_answers_4_and_8_bytes_at_any_dword_and_ends_with_its_last_quad_word()
    {
        var rig = new MsixRig(130);
        foreach (int vector in new[] { 0, 33, 63, 64, 129 })
        {
            rig.Msix[vector].Signal();
        }

        IRegionHandler pending = rig.Msix.PendingHandler;
        pending.Read(0, 8).Should().Be(0x8000_0002_0000_0001);
        pending.Read(4, 4).Should().Be(0x8000_0002);
        pending.Read(4, 8).Should().Be(0x0000_0001_8000_0002);
        pending.Read(8, 8).Should().Be(1);
        pending.Read(16, 8).Should().Be(2, "vectors 130 to 191 are none");
        pending.Read(20, 4).Should().Be(0);
        foreach ((ulong offset, int width) in new (ulong, int)[] { (0, 1), (0, 2), (2, 4), (6, 8), (24, 4), (24, 8), (ulong.MaxValue - 7, 8) })
        {
            pending.Read(offset, width).Should().Be(ulong.MaxValue, $"{width} bytes at 0x{offset:x}");
        }
    }

    [Fact]
    [Trait("Behaviour", "MSIX-8")]
    public void A_changed_message_of_an_unmasked_vector_counts_for_the_next_event()
    {
        var rig = new MsixRig();
        rig.Program(0, 0xfee00000, 0x30);
        rig.Enable();
        rig.Msix[0].Signal();
        rig.Write(0, 8, 0x31);
        rig.Msix[0].Signal();
        rig.Write(0, 0, 0xfee02003);
        rig.Msix[0].Signal();
        rig.Rig.Sink.Sent.Select(static sent => sent.Message).Should().Equal(
            new MsiMessage(0xfee00000, 0x30), new MsiMessage(0xfee00000, 0x31), new MsiMessage(0xfee02000, 0x31));
    }

    [Fact]
    [Trait("Behaviour", "MSIX-7")]
    [Trait("Behaviour", "MSIX-1")]
    public void Reset_goes_back_to_power_on()
    {
        var rig = new MsixRig();
        rig.Program(0, 0xfee00000, 0x30);
        rig.Program(1, 0xfee00000, 0x31, masked: true);
        rig.Enable();
        rig.Msix[1].Signal();
        rig.Function.Reset();
        rig.Msix.IsEnabled.Should().BeFalse();
        rig.Msix[0].IsEffective.Should().BeFalse();
        rig.Msix[1].IsPending.Should().BeFalse();
        rig.Msix[0].Message.Should().Be(default(MsiMessage));
        rig.Msix[0].IsMasked.Should().BeTrue();
        rig.Rig.Sink.Count.Should().Be(0);
    }

    [Theory]
    [InlineData(0, 0u, 2, 0u)]
    [InlineData(2, 0x8u, 0, 0xff8u)]
    [InlineData(0, 0x100u, 0, 0x140u)]
    [InlineData(0, 0x1008u, 0, 0x1000u)]
    [InlineData(2, 0x8000u, 2, 0x8040u)]
    [Trait("Behaviour", "MSIX-9")]
    public void Table_and_pending_array_may_lie_anywhere(int tableBar, uint tableOffset, int pendingBar, uint pendingOffset)
    {
        var rig = new MsixRig(4, tableBar, tableOffset, pendingBar, pendingOffset);
        rig.Program(3, 0xfee00000, 0x33, masked: true);
        rig.Enable();
        rig.Msix[3].Signal();
        rig.PendingBits().Should().Be(8);
        rig.Rig.Read(rig.Msix.Offset + 4, 4).Should().Be(tableOffset | (uint)tableBar);
        rig.Rig.Read(rig.Msix.Offset + 8, 4).Should().Be(pendingOffset | (uint)pendingBar);
        rig.Mask(3, false);
        rig.Rig.Sink.Count.Should().Be(1);
        rig.PendingBits().Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-9")]
    public void A_table_that_is_in_no_BAR_is_refused_when_the_function_joins_a_bus()
    {
        var rig = new PciRig();
        var msix = new MsixCapability(1, 0, 0, 2, 0);
        PciFunction function = PciRig.Function(new PciBar(
            0, PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), new("x", 0x800, 8, new RecordingHandler(8))]));
        function.AddCapability(msix);
        FluentActions.Invoking(() => rig.Add(function)).Should().Throw<ArgumentException>().WithMessage("*BAR 2*pending bit array*");
        FluentActions.Invoking(() => function.AddCapability(new MsixCapability(1, 0, 0, 2, 0)))
            .Should().Throw<ArgumentException>().WithMessage("*one MSI-X*");
    }

    [Fact]
    public void A_message_that_nobody_accepts_is_counted()
    {
        var rig = new MsixRig();
        rig.Rig.Sink.Accepts = false;
        rig.Program(0, 0xfee00000, 0x30);
        rig.Enable();
        rig.Msix[0].Signal();
        rig.Msix[0].Unaccepted.Should().Be(1);
        rig.Msix[0].IsPending.Should().BeFalse();
    }
}
