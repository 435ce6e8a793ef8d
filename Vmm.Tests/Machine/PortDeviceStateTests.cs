using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>Serial port, clock, power and reset registers: what is saved of them, what is refused, and how they go on.</summary>
[Trait("Behaviour", "CON-4")]
[Trait("Behaviour", "LIFE-2")]
public sealed class PortDeviceStateTests
{
    private static readonly DateTimeOffset _start = new(2024, 2, 28, 23, 59, 58, TimeSpan.Zero);

    [Fact]
    public void Characters_that_wait_in_the_FIFO_are_read_in_their_order_and_have_their_interrupt()
    {
        var first = new SerialPort(new FakeLine(), new FakeSink());
        first.Registers.Write(2, 1, 1);
        first.Receive([9, 9, 1, 2, 3]).Should().Be(5);
        first.Registers.Read(0, 1);
        first.Registers.Read(0, 1);
        first.Registers.Write(4, 1, 8);
        first.Registers.Write(1, 1, 1);
        var line = new FakeLine();
        var second = new SerialPort(line, new FakeSink());
        int room = 0;
        second.InputRoom += () => room++;

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        line.Asserted.Should().BeTrue();
        room.Should().Be(1, "whoever sends looks how much room there is now");
        second.ReceiveRoom.Should().Be(13);
        new[] { Read(second.Registers, 0), Read(second.Registers, 0), Read(second.Registers, 0) }.Should().Equal(1, 2, 3);
        line.Asserted.Should().BeFalse();
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(false, false)]
    public void A_transmitter_interrupt_that_is_owed_comes_when_the_sink_has_room(bool roomBefore, bool roomAfter)
    {
        var sink = new FakeSink();
        var first = new SerialPort(new FakeLine(), sink);
        first.Registers.Write(4, 1, 8);
        first.Registers.Write(1, 1, 2);
        first.Registers.Read(2, 1);
        sink.HasRoom = roomBefore;
        first.Registers.Write(0, 1, 'x');
        var line = new FakeLine();
        var sinkAfter = new FakeSink { HasRoom = roomAfter };
        var second = new SerialPort(line, sinkAfter);

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        line.Asserted.Should().Be(roomAfter);
        sinkAfter.Drain();
        line.Asserted.Should().BeTrue();
        Read(second.Registers, 2).Should().Be(2);
    }

    [Fact]
    public void A_clock_keeps_its_distance_from_that_of_the_host()
    {
        var time = new ManualTime(_start);
        using var first = new RealTimeClock(new FakeLine(), time);
        WriteClock(first, 9, 0x31);
        WriteClock(first, 0x40, 0x77);
        using var second = new RealTimeClock(new FakeLine(), new ManualTime(_start + TimeSpan.FromDays(2)));
        WriteClock(second, 0x41, 0x55);

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        Read(second.Registers, 0).Should().Be(0xff);
        Read(second.Registers, 1).Should().Be(0x77, "the index is state");
        (ReadClock(second, 9), ReadClock(second, 8), ReadClock(second, 7)).Should().Be((0x31, 0x03, 0x02));
        ReadClock(second, 0x41).Should().Be(0, "what the other one had written is gone");
        time.Advance(TimeSpan.FromSeconds(7));
        first.Save().Data.GetRawText().Should().Be(state.Data.GetRawText(), "time that passes is no state");
    }

    [Fact]
    public void A_clock_that_is_being_set_keeps_what_was_written_so_far()
    {
        using var first = new RealTimeClock(new FakeLine(), new ManualTime(_start));
        WriteClock(first, 0x0b, 0x82);
        WriteClock(first, 9, 0x99);
        WriteClock(first, 8, 0x13);
        using var second = new RealTimeClock(new FakeLine(), new ManualTime(_start + TimeSpan.FromDays(2)));

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        (ReadClock(second, 9), ReadClock(second, 8), ReadClock(second, 7)).Should().Be((0x99, 0x13, 0x28));
        WriteClock(second, 8, 0x12);
        WriteClock(second, 0x0b, 0x02);
        (ReadClock(second, 9), ReadClock(second, 8), ReadClock(second, 7)).Should().Be((0x99, 0x12, 0x28));
    }

    [Fact]
    public void An_interrupt_of_the_clock_that_nobody_has_taken_is_asserted_and_the_next_comes()
    {
        var time = new ManualTime(_start);
        using var first = new RealTimeClock(new FakeLine(), time);
        WriteClock(first, 0x0b, 0x12);
        time.Advance(TimeSpan.FromSeconds(2));
        var timeAfter = new ManualTime(_start);
        var line = new FakeLine();
        using var second = new RealTimeClock(line, timeAfter);

        Move(first, second);

        line.Asserted.Should().BeTrue();
        ReadClock(second, 0x0c).Should().Be(0x90);
        line.Asserted.Should().BeFalse();
        timeAfter.Advance(TimeSpan.FromSeconds(2));
        line.Asserted.Should().BeTrue();
    }

    [Fact]
    public void A_clock_goes_on_after_the_last_year_that_it_can_be_set_to()
    {
        var time = new ManualTime(_start);
        var line = new FakeLine();
        using var clock = new RealTimeClock(line, time);
        WriteClock(clock, 0x0b, 0x82);
        foreach ((byte index, byte value) in new (byte, byte)[] { (0x32, 0x99), (9, 0x99), (8, 0x12), (7, 0x31), (4, 0x23), (2, 0x59), (0, 0x58) })
        {
            WriteClock(clock, index, value);
        }

        WriteClock(clock, 0x0b, 0x12);
        time.Advance(TimeSpan.FromSeconds(4));

        line.Asserted.Should().BeTrue();
        (ReadClock(clock, 0x32), ReadClock(clock, 9), ReadClock(clock, 8), ReadClock(clock, 7)).Should().Be((0x20, 0x00, 0x01, 0x01));
        ReadClock(clock, 6).Should().Be(7, "it is a Saturday: the 31st of December 9999 was a Friday");
    }

    [Fact]
    public void A_PM_timer_goes_on_from_where_it_stood_and_nothing_is_asked_for()
    {
        var time = new ManualTime(_start);
        var first = new PowerControl(new FakeLine(), time);
        time.Advance(TimeSpan.FromSeconds(5));
        first.Registers.Write(4, 2, 0x1401);
        first.Registers.Write(2, 2, 0x0120);
        var timeAfter = new ManualTime(_start + TimeSpan.FromDays(1));
        var second = new PowerControl(new FakeLine(), timeAfter);
        second.PowerOffRequested += () => throw new InvalidOperationException("the guest has not asked");

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        (second.Registers.Read(2, 2), second.Registers.Read(4, 2)).Should().Be((0x0120UL, 0x1401UL));
        second.Registers.Read(8, 4).Should().Be(5 * 3_579_545);
        timeAfter.Advance(TimeSpan.FromSeconds(1));
        second.Registers.Read(8, 4).Should().Be(6 * 3_579_545);
    }

    [Theory]
    [InlineData(true, true, true)]
    [InlineData(true, false, false)]
    [InlineData(false, true, false)]
    public void A_press_that_the_guest_has_not_answered_interrupts_in_the_restored_machine(bool pressed, bool enabled, bool asserted)
    {
        var first = new PowerControl(new FakeLine(), new ManualTime(_start));
        first.Registers.Write(2, 2, enabled ? 0x0100u : 0);
        if (pressed)
        {
            first.PressPowerButton();
        }

        var line = new FakeLine();
        var second = new PowerControl(line, new ManualTime(_start));
        second.Registers.Write(2, 2, 0x0100);
        second.PressPowerButton();
        line.Asserted.Should().BeTrue();

        SavedState state = Move(first, second);

        second.Save().Data.GetRawText().Should().Be(state.Data.GetRawText());
        line.Asserted.Should().Be(asserted);
        second.Registers.Read(0, 4).Should().Be((enabled ? 0x0100_0000u : 0) | (pressed ? 0x0100u : 0));
        second.Registers.Write(2, 2, 0x0100);
        line.Asserted.Should().Be(pressed);
        second.Registers.Write(0, 2, 0x0100);
        line.Asserted.Should().BeFalse();
    }

    [Fact]
    public void ACPI_registers_that_were_saved_before_there_was_a_button_are_restored()
    {
        using var old = System.Text.Json.JsonDocument.Parse("""{"enable":288,"control":5121,"timer":7}""");
        var line = new FakeLine();
        var power = new PowerControl(line, new ManualTime(_start));
        power.PressPowerButton();

        power.PrepareRestore(new SavedState("acpi", 1, old.RootElement))();

        power.Registers.Read(0, 4).Should().Be(0x0120_0000);
        (power.Registers.Read(4, 2), power.Registers.Read(8, 4)).Should().Be((0x1401UL, 7UL));
        line.Asserted.Should().BeFalse();
        using var mixed = System.Text.Json.JsonDocument.Parse("""{"status":0,"enable":288,"control":5121,"timer":7}""");
        ((Action)(() => power.PrepareRestore(new SavedState("acpi", 1, mixed.RootElement)))).Should().Throw<StateException>()
            .Which.Path.Should().Be("status");
    }

    [Fact]
    public void A_reset_that_was_asked_for_before_is_not_asked_for_again()
    {
        var first = new ResetControl(new ConstantHandler(0));
        first.Write(1, 1, 0x06);
        var second = new ResetControl(new ConstantHandler(0));
        second.ResetRequested += () => throw new InvalidOperationException("the guest has not asked");

        Move(first, second);

        second.Read(1, 1).Should().Be(0x06);
    }

    public static TheoryData<string, string, string, string> Tampered => new()
    {
        { "serial", "\"interruptEnable\":0", "\"interruptEnable\":16", "interruptEnable" },
        { "serial", "\"modemControl\":0", "\"modemControl\":32", "modemControl" },
        { "serial", "\"lineErrors\":0", "\"lineErrors\":1", "lineErrors" },
        { "serial", "\"modemDeltas\":0", "\"modemDeltas\":16", "modemDeltas" },
        { "serial", "\"fifoControl\":0", "\"fifoControl\":64", "fifoControl" },
        { "serial", "\"fifoControl\":0", "\"fifoControl\":256", "fifoControl" },
        { "serial", "\"received\":[]", "\"received\":[1,2]", "received" },
        { "serial", "\"received\":[]", "\"received\":null", "received" },
        { "serial", "\"scratch\":0,", "", "data" },
        { "serial", "\"scratch\":0", "\"scratch\":0,\"more\":1", "more" },
        { "rtc", "\"index\":0", "\"index\":128", "index" },
        { "rtc", "\"a\":38", "\"a\":128", "a" },
        { "rtc", "\"b\":2", "\"b\":8", "b" },
        { "rtc", "\"b\":2", "\"b\":146", "b" },
        { "rtc", "\"c\":0", "\"c\":1", "c" },
        { "rtc", "\"offset\":0", "\"offset\":9223372036854775807", "offset" },
        { "rtc", "\"offset\":0", "\"offset\":-9223372036854775808", "offset" },
        { "rtc", "\"memory\":[]", "\"memory\":[{\"index\":0,\"value\":1}]", "memory.index" },
        { "rtc", "\"memory\":[]", "\"memory\":[{\"index\":12,\"value\":1}]", "memory.index" },
        { "rtc", "\"memory\":[]", "\"memory\":[{\"index\":65,\"value\":1},{\"index\":64,\"value\":1}]", "memory.index" },
        { "rtc", "\"memory\":[]", "\"memory\":[{\"index\":128,\"value\":1}]", "memory.index" },
        { "rtc", "\"memory\":[]", "\"memory\":[null]", "memory" },
        { "acpi", "\"control\":1", "\"control\":0", "control" },
        { "acpi", "\"control\":1", "\"control\":8193", "control" },
        { "acpi", "\"enable\":0", "\"enable\":65536", "enable" },
        { "acpi", "\"status\":0", "\"status\":1", "status" },
        { "acpi", "\"status\":0", "\"status\":768", "status" },
        { "acpi", "\"status\":0,", "", "status" },
        { "reset-control", "\"value\":0", "\"value\":16", "value" },
    };

    [Theory]
    [MemberData(nameof(Tampered))]
    public void A_state_that_cannot_be_is_refused_and_nothing_changes(string name, string there, string instead, string member)
    {
        using var clock = new RealTimeClock(new FakeLine(), new ManualTime(_start));
        var devices = new Dictionary<string, IComponent>
        {
            ["serial"] = new SerialPort(new FakeLine(), new FakeSink()),
            ["rtc"] = clock,
            ["acpi"] = new PowerControl(new FakeLine(), new ManualTime(_start)),
            ["reset-control"] = new ResetControl(new ConstantHandler(0)),
        };
        IComponent device = devices[name];
        device.Name.Should().Be(name);
        SavedState state = device.Save()!;
        string json = state.Data.GetRawText();
        json.Should().Contain(there);
        using var tampered = System.Text.Json.JsonDocument.Parse(json.Replace(there, instead, StringComparison.Ordinal));

        Action restore = () => device.PrepareRestore(state with { Data = tampered.RootElement })();

        restore.Should().Throw<StateException>().Which.Path.Should().Be(member);
        device.Save()!.Data.GetRawText().Should().Be(json);
        ((Action)(() => device.PrepareRestore(state with { Version = state.Version + 1 }))).Should().Throw<StateException>().Which.Path.Should().Be("version");
    }

    private static SavedState Move(IComponent from, IComponent to)
    {
        SavedState state = from.Save()!;
        to.PrepareRestore(state)();
        return state;
    }

    private static int Read(IRegionHandler registers, ulong offset) => (int)(registers.Read(offset, 1) & 0xff);

    private static void WriteClock(RealTimeClock clock, byte index, byte value)
    {
        clock.Registers.Write(0, 1, index);
        clock.Registers.Write(1, 1, value);
    }

    private static int ReadClock(RealTimeClock clock, byte index)
    {
        clock.Registers.Write(0, 1, index);
        return Read(clock.Registers, 1);
    }
}
