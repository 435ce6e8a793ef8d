using System;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>The MC146818 by its data sheet.</summary>
public sealed class RealTimeClockTests : IDisposable
{
    private static readonly DateTimeOffset Start = new(2026, 11, 21, 14, 5, 9, TimeSpan.Zero);

    private readonly ManualTime _time = new(Start);
    private readonly FakeLine _line = new();
    private readonly RealTimeClock _clock;

    public RealTimeClockTests()
    {
        _clock = new RealTimeClock(_line, _time);
    }

    public void Dispose() => _clock.Dispose();

    [Fact]
    public void The_time_is_the_hosts_in_BCD_and_24_hours()
    {
        Read(0x00).Should().Be(0x09);
        Read(0x02).Should().Be(0x05);
        Read(0x04).Should().Be(0x14);
        Read(0x06).Should().Be(0x07, "a Saturday is day 7");
        Read(0x07).Should().Be(0x21);
        Read(0x08).Should().Be(0x11);
        Read(0x09).Should().Be(0x26);
        Read(0x32).Should().Be(0x20);
    }

    [Fact]
    public void The_time_goes_on()
    {
        _time.Advance(TimeSpan.FromSeconds(51));
        Read(0x00).Should().Be(0x00);
        Read(0x02).Should().Be(0x06);
    }

    [Theory]
    [InlineData(0, 0x12)]
    [InlineData(11, 0x11)]
    [InlineData(12, 0x92)]
    [InlineData(23, 0x91)]
    public void Twelve_hours_with_the_afternoon_bit(int hour, int expected)
    {
        _time.Advance(new DateTimeOffset(2026, 11, 22, hour, 0, 0, TimeSpan.Zero) - Start);
        Write(0x0B, 0x00);
        Read(0x04).Should().Be((byte)expected);
    }

    [Fact]
    public void Binary_mode()
    {
        Write(0x0B, 0x06);
        Read(0x04).Should().Be(14);
        Read(0x07).Should().Be(21);
    }

    [Fact]
    public void Status_registers()
    {
        Read(0x0A).Should().Be(0x26, "no update is ever in progress");
        Read(0x0B).Should().Be(0x02);
        Read(0x0C).Should().Be(0x00);
        Read(0x0D).Should().Be(0x80, "valid RAM and time");
        Write(0x0D, 0x00);
        Read(0x0D).Should().Be(0x80);
    }

    [Fact]
    public void Memory_keeps_what_is_written_and_the_index_has_seven_bits()
    {
        Write(0x0F, 0x5A);
        Write(0x7F, 0xA5);
        Read(0x8F).Should().Be(0x5A);
        Read(0x7F).Should().Be(0xA5);
    }

    [Fact]
    public void Setting_the_time_stopped_takes_effect_at_the_end()
    {
        Write(0x0B, 0x82);
        Write(0x00, 0x58);
        Write(0x02, 0x59);
        Write(0x04, 0x23);
        Write(0x07, 0x31);
        Write(0x08, 0x12);
        Write(0x09, 0x30);
        _time.Advance(TimeSpan.FromSeconds(30));
        Read(0x00).Should().Be(0x58, "the clock stands");
        Write(0x0B, 0x02);
        _time.Advance(TimeSpan.FromSeconds(3));
        Read(0x00).Should().Be(0x01);
        Read(0x08).Should().Be(0x01);
        Read(0x09).Should().Be(0x31);
    }

    [Fact]
    public void Nonsense_leaves_the_clock_where_it_was()
    {
        Write(0x0B, 0x82);
        Write(0x08, 0x55);
        Write(0x0B, 0x02);
        Read(0x08).Should().Be(0x11);
    }

    [Fact]
    public void The_alarm_interrupts_at_its_second_until_register_C_is_read()
    {
        Write(0x01, 0x12);
        Write(0x03, 0x05);
        Write(0x05, 0x14);
        Write(0x0B, 0x22);
        _time.Advance(TimeSpan.FromSeconds(2));
        _line.Asserted.Should().BeFalse();
        _time.Advance(TimeSpan.FromSeconds(1.5));
        _line.Asserted.Should().BeTrue();
        Read(0x0C).Should().Be(0xB0);
        _line.Asserted.Should().BeFalse();
        Read(0x0C).Should().Be(0x00);
    }

    [Fact]
    public void Alarm_bytes_from_C0_match_anything()
    {
        Write(0x01, 0x10);
        Write(0x03, 0xFF);
        Write(0x05, 0xC0);
        Write(0x0B, 0x22);
        _time.Advance(TimeSpan.FromSeconds(1.5));
        _line.Asserted.Should().BeTrue();
    }

    [Fact]
    public void The_update_ended_interrupt_comes_every_second()
    {
        Write(0x0B, 0x12);
        _time.Advance(TimeSpan.FromMilliseconds(500));
        for (int i = 0; i < 3; i++)
        {
            _time.Advance(TimeSpan.FromSeconds(1));
            _line.Asserted.Should().BeTrue();
            (Read(0x0C) & 0x90).Should().Be(0x90);
        }

        Write(0x0B, 0x02);
        _time.Advance(TimeSpan.FromSeconds(2));
        _line.Asserted.Should().BeFalse();
    }

    [Fact]
    public void SET_clears_the_update_interrupt_enable_and_the_periodic_one_does_not_exist()
    {
        Write(0x0B, 0x92);
        Read(0x0B).Should().Be(0x82);
        Write(0x0B, 0x42);
        Read(0x0B).Should().Be(0x02);
    }

    private byte Read(int index)
    {
        _clock.Registers.Write(0, 1, (ulong)index);
        return (byte)_clock.Registers.Read(1, 1);
    }

    private void Write(int index, int value)
    {
        _clock.Registers.Write(0, 1, (ulong)index);
        _clock.Registers.Write(1, 1, (ulong)value);
    }
}
