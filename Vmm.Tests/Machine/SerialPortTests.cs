using System;
using System.Linq;
using Vmm.DeviceModel.State;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>The 16550A by its data sheet (PC16550D), and what Linux's driver expects of it.</summary>
public sealed class SerialPortTests
{
    private const int Data = 0;
    private const int InterruptEnable = 1;
    private const int InterruptIdentification = 2;
    private const int FifoControl = 2;
    private const int LineControl = 3;
    private const int ModemControl = 4;
    private const int LineStatus = 5;
    private const int ModemStatus = 6;
    private const int Scratch = 7;

    private readonly FakeLine _line = new();
    private readonly FakeSink _sink = new();
    private readonly SerialPort _port;

    public SerialPortTests()
    {
        _port = new SerialPort(_line, _sink);
    }

    [Fact]
    public void After_reset_the_transmitter_is_empty_and_nothing_is_pending()
    {
        Read(LineStatus).Should().Be(0x60);
        Read(InterruptIdentification).Should().Be(0x01);
        Read(InterruptEnable).Should().Be(0);
        Read(ModemControl).Should().Be(0);
        Read(ModemStatus).Should().Be(0xB0, "carrier, data set ready and clear to send");
        _line.Asserted.Should().BeFalse();
    }

    [Fact]
    public void Scratch_line_control_and_divisor_keep_what_is_written()
    {
        Write(Scratch, 0xA5);
        Write(LineControl, 0x83);
        Write(0, 0x34);
        Write(1, 0x12);
        Read(0).Should().Be(0x34);
        Read(1).Should().Be(0x12);
        Write(LineControl, 0x03);
        Read(LineControl).Should().Be(0x03);
        Read(InterruptEnable).Should().Be(0, "with the latch closed register 1 is the interrupt enable");
        Read(Scratch).Should().Be(0xA5);
        _sink.Text.Should().BeEmpty("the divisor is no data");
    }

    [Fact]
    public void Upper_bits_of_interrupt_enable_and_modem_control_read_zero()
    {
        Write(InterruptEnable, 0xFF);
        Write(ModemControl, 0xFF);
        Read(InterruptEnable).Should().Be(0x0F);
        Read(ModemControl).Should().Be(0x1F);
    }

    [Fact]
    public void A_transmitted_character_reaches_the_sink()
    {
        foreach (byte b in "hello"u8)
        {
            Read(LineStatus).Should().Be(0x60);
            Write(Data, b);
        }

        _sink.Text.Should().Be("hello");
    }

    [Fact]
    public void Without_room_in_the_sink_the_transmitter_is_not_empty()
    {
        _sink.HasRoom = false;
        Read(LineStatus).Should().Be(0);
        _sink.Drain();
        Read(LineStatus).Should().Be(0x60);
    }

    [Fact]
    public void The_FIFO_is_announced_only_while_it_is_enabled()
    {
        Write(FifoControl, 0x01);
        Read(InterruptIdentification).Should().Be(0xC1);
        Write(FifoControl, 0x00);
        Read(InterruptIdentification).Should().Be(0x01);
    }

    [Fact]
    public void Without_FIFO_one_character_fits()
    {
        _port.Receive("ab"u8).Should().Be(1);
        Read(LineStatus).Should().Be(0x61);
        Read(Data).Should().Be((byte)'a');
        Read(LineStatus).Should().Be(0x60);
    }

    [Fact]
    public void With_FIFO_sixteen_characters_fit_in_order()
    {
        Write(FifoControl, 0x01);
        _port.Receive("0123456789abcdefgh"u8).Should().Be(16);
        _port.ReceiveRoom.Should().Be(0);
        string text = new(Enumerable.Range(0, 16).Select(_ => (char)Read(Data)).ToArray());
        text.Should().Be("0123456789abcdef");
        _port.ReceiveRoom.Should().Be(16);
    }

    [Fact]
    public void Clearing_the_receive_FIFO_forgets_what_is_in_it()
    {
        Write(FifoControl, 0x01);
        _port.Receive("abc"u8);
        Write(FifoControl, 0x03);
        Read(LineStatus).Should().Be(0x60);
    }

    [Fact]
    public void Switching_the_FIFO_on_or_off_clears_it()
    {
        _port.Receive("a"u8);
        Write(FifoControl, 0x01);
        Read(LineStatus).Should().Be(0x60);
        _port.Receive("b"u8);
        Write(FifoControl, 0x00);
        Read(LineStatus).Should().Be(0x60);
    }

    [Theory]
    [InlineData(0x01, 1)]
    [InlineData(0x41, 4)]
    [InlineData(0x81, 8)]
    [InlineData(0xC1, 14)]
    public void Received_data_interrupts_at_the_trigger_level_and_by_time_out_below(int control, int level)
    {
        Write(ModemControl, 0x08);
        Write(InterruptEnable, 0x01);
        Write(FifoControl, (byte)control);
        for (int i = 1; i < level; i++)
        {
            _port.Receive("x"u8);
            Read(InterruptIdentification).Should().Be(0xCC, "{0} characters wait", i);
        }

        _port.Receive("x"u8);
        Read(InterruptIdentification).Should().Be(0xC4);
        _line.Asserted.Should().BeTrue();
        for (int i = 0; i < level; i++)
        {
            _line.Asserted.Should().BeTrue();
            Read(Data);
        }

        Read(InterruptIdentification).Should().Be(0xC1);
        _line.Asserted.Should().BeFalse();
    }

    [Fact]
    public void The_line_is_gated_by_OUT2()
    {
        Write(InterruptEnable, 0x01);
        _port.Receive("x"u8);
        _line.Asserted.Should().BeFalse();
        Write(ModemControl, 0x08);
        _line.Asserted.Should().BeTrue();
        Write(ModemControl, 0x00);
        _line.Asserted.Should().BeFalse();
    }

    [Fact]
    public void Enabling_the_transmitter_interrupt_raises_it_and_reading_the_source_clears_it()
    {
        // Linux's probe for transmitters that do not interrupt again (serial8250_do_startup).
        Write(ModemControl, 0x08);
        Write(InterruptEnable, 0x02);
        Read(InterruptIdentification).Should().Be(0x02);
        Read(InterruptIdentification).Should().Be(0x01);
        _line.Asserted.Should().BeFalse();
        Write(InterruptEnable, 0x00);
        Write(InterruptEnable, 0x02);
        Read(InterruptIdentification).Should().Be(0x02);
    }

    [Fact]
    public void Writing_the_enabled_bit_again_does_not_raise_the_transmitter_interrupt()
    {
        Write(InterruptEnable, 0x02);
        Read(InterruptIdentification).Should().Be(0x02);
        Write(InterruptEnable, 0x02);
        Read(InterruptIdentification).Should().Be(0x01);
    }

    [Fact]
    public void Received_data_has_priority_over_the_transmitter()
    {
        Write(InterruptEnable, 0x03);
        _port.Receive("x"u8);
        Read(InterruptIdentification).Should().Be(0x04);
        Read(Data);
        Read(InterruptIdentification).Should().Be(0x02, "it was not shown yet, so it is still pending");
    }

    [Fact]
    public void A_driver_that_loops_until_nothing_is_pending_gets_out_of_its_loop()
    {
        // Linux gives up after 512 passes with "too much work for irq4"; the writer refills its buffer all the time here.
        Write(ModemControl, 0x08);
        Write(FifoControl, 0x01);
        Write(InterruptEnable, 0x02);
        int sent = 0;
        int interrupts = 0;
        while (sent < 10_000)
        {
            _line.Asserted.Should().BeTrue("a character is left and the transmitter is empty");
            interrupts++;
            int passes = 0;
            while ((Read(InterruptIdentification) & 1) == 0)
            {
                passes++;
                for (int i = 0; i < 16; i++, sent++)
                {
                    Write(Data, (byte)'x');
                }
            }

            passes.Should().BeInRange(1, 16);
        }

        _sink.Text.Should().HaveLength(sent);
        interrupts.Should().BeGreaterThan(1);
        _line.Changes.Zip(_line.Changes.Skip(1)).Should().OnlyContain(p => p.First != p.Second, "each change is an edge");
    }

    [Fact]
    public void A_driver_that_reads_the_source_once_per_interrupt_is_interrupted_when_the_sink_has_drained()
    {
        Write(ModemControl, 0x08);
        Write(InterruptEnable, 0x02);
        for (int i = 0; i < 100; i++)
        {
            if (!_line.Asserted)
            {
                _sink.Drain();
            }

            _line.Asserted.Should().BeTrue();
            Read(InterruptIdentification).Should().Be(0x02);
            Write(Data, (byte)'x');
        }

        _sink.Text.Should().HaveLength(100);
    }

    [Fact]
    public void A_full_sink_holds_the_transmitter_interrupt_back()
    {
        Write(ModemControl, 0x08);
        Write(InterruptEnable, 0x02);
        Read(InterruptIdentification);
        _sink.HasRoom = false;
        Write(Data, (byte)'x');
        _line.Asserted.Should().BeFalse();
        Read(InterruptIdentification).Should().Be(0x01);
        _sink.Drain();
        _line.Asserted.Should().BeTrue();
        Read(InterruptIdentification).Should().Be(0x02);
    }

    [Fact]
    public void Loopback_connects_transmitter_and_receiver_and_the_modem_lines()
    {
        // Linux's autoconfig: with LOOP, RTS and OUT2 the status reads CTS and DCD.
        Write(ModemControl, 0x1A);
        (Read(ModemStatus) & 0xF0).Should().Be(0x90);
        Write(ModemControl, 0x15);
        (Read(ModemStatus) & 0xF0).Should().Be(0x60);
        Write(Data, 0x5A);
        Read(LineStatus).Should().Be(0x61);
        Read(Data).Should().Be(0x5A);
        _sink.Text.Should().BeEmpty();
        _port.Receive("x"u8).Should().Be(0, "the line is disconnected");
    }

    [Fact]
    public void An_overrun_in_loopback_is_reported_once()
    {
        Write(ModemControl, 0x18);
        Write(InterruptEnable, 0x04);
        Write(Data, 1);
        Write(Data, 2);
        Read(InterruptIdentification).Should().Be(0x06);
        Read(LineStatus).Should().Be(0x63);
        Read(LineStatus).Should().Be(0x61);
        Read(InterruptIdentification).Should().Be(0x01);
        Read(Data).Should().Be(1);
    }

    [Fact]
    public void Modem_status_changes_interrupt_until_they_are_read()
    {
        Write(ModemControl, 0x10);
        Read(ModemStatus).Should().Be(0x0B, "the lines went down");
        Write(InterruptEnable, 0x08);
        Write(ModemControl, 0x12);
        Read(InterruptIdentification).Should().Be(0x00);
        Read(ModemStatus).Should().Be(0x11);
        Read(ModemStatus).Should().Be(0x10);
        Read(InterruptIdentification).Should().Be(0x01);
        Write(ModemControl, 0x16);
        Read(ModemStatus).Should().Be(0x50, "the ring indicator counts when it ends");
        Write(ModemControl, 0x12);
        Read(ModemStatus).Should().Be(0x14);
    }

    [Fact]
    public void Room_is_announced_after_a_read()
    {
        int announced = 0;
        _port.InputRoom += () => announced++;
        _port.Receive("a"u8).Should().Be(1);
        _port.Receive("b"u8).Should().Be(0);
        Read(Data);
        announced.Should().Be(1);
        _port.Receive("b"u8).Should().Be(1);
    }

    [Fact]
    public void Writes_to_the_status_registers_are_ignored()
    {
        Write(LineStatus, 0xFF);
        Write(ModemStatus, 0xFF);
        Read(LineStatus).Should().Be(0x60);
        Read(ModemStatus).Should().Be(0xB0);
    }

    [Fact]
    public void Random_accesses_never_throw()
    {
        var random = new Random(16550);
        Span<byte> input = stackalloc byte[20];
        for (int i = 0; i < 100_000; i++)
        {
            int offset = random.Next(8);
            switch (random.Next(4))
            {
                case 0:
                    _port.Receive(input[..random.Next(20)]);
                    break;
                case 1:
                    _sink.Drain();
                    break;
                case 2:
                    _port.Registers.Read((ulong)offset, 1).Should().BeLessThan(256);
                    break;
                default:
                    _port.Registers.Write((ulong)offset, 1, (ulong)random.Next(256));
                    break;
            }
        }
    }

    [Fact]
    public void A_wide_access_is_one_of_each_byte_from_the_lowest()
    {
        _port.Receive("x"u8);
        _port.Registers.Read(0, 2).Should().Be('x', "the character is taken and the enable register follows");
        _port.ReceiveRoom.Should().Be(1);
        _port.Registers.Write(6, 2, 0x5a00);
        _port.Registers.Read(4, 4).Should().Be(0x5ab0_6000, "modem control, line status, modem status, scratch");
    }

    [Fact]
    public void What_is_inspected_stays_as_it_is()
    {
        _port.Receive("x"u8);
        _port.Registers.Write(7, 1, 0x5a);
        var node = new InspectionNode("serial");
        _port.Registers.Inspect(node);
        node.Values.Select(static value => value.Name).Should().Equal("ier_dlm", "lcr", "mcr", "scr");
        node.TextOf("scr").Should().Be("0x5a");
        _port.Registers.Read(0, 1).Should().Be('x', "nobody took it");
    }

    private byte Read(int register) => (byte)_port.Registers.Read((ulong)register, 1);

    private void Write(int register, int value) => _port.Registers.Write((ulong)register, 1, (byte)value);
}
