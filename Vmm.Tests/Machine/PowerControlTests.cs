using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Interrupts;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>ACPI fixed hardware (ACPI 6.4, 4.8), the reset register and the keyboard controller's reset line.</summary>
public sealed class PowerControlTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly FakeLine _sci = new();
    private readonly PowerControl _power;
    private int _off;
    private int _resets;

    public PowerControlTests()
    {
        _power = new PowerControl(_sci, _time);
        _power.PowerOffRequested += () => _off++;
        _power.ResetRequested += () => _resets++;
    }

    [Fact]
    public void The_machine_starts_in_ACPI_mode()
    {
        _power.Registers.Read(4, 2).Should().Be(1);
        _power.Registers.Write(4, 2, 0);
        _power.Registers.Read(4, 2).Should().Be(1);
    }

    [Fact]
    public void S5_needs_the_sleep_type_and_the_enable_bit()
    {
        _power.Registers.Write(4, 2, 5 << 10);
        _off.Should().Be(0);
        _power.Registers.Write(4, 2, (3 << 10) | (1 << 13));
        _off.Should().Be(0);
        _power.Registers.Write(4, 2, (5 << 10) | (1 << 13));
        _off.Should().Be(1);
        (_power.Registers.Read(4, 2) & (1 << 13)).Should().Be(0, "the enable bit reads zero");
    }

    [Fact]
    public void The_reset_register_resets_with_its_value_only()
    {
        _power.Registers.Write(0xC, 1, 0);
        _resets.Should().Be(0);
        _power.Registers.Write(0xC, 1, 1);
        _resets.Should().Be(1);
    }

    [Fact]
    public void The_timer_runs_at_3_579545_MHz()
    {
        _power.Registers.Read(8, 4).Should().Be(0);
        _time.Advance(TimeSpan.FromSeconds(2));
        _power.Registers.Read(8, 4).Should().Be(2 * 3_579_545);
        _time.Advance(TimeSpan.FromSeconds(1200));
        _power.Registers.Read(8, 4).Should().Be(1202UL * 3_579_545 % (1UL << 32), "it wraps at 32 bits");
    }

    [Fact]
    public void Event_enable_keeps_what_is_written_and_status_is_empty()
    {
        _power.Registers.Write(2, 2, 0x0120);
        _power.Registers.Read(2, 2).Should().Be(0x0120);
        _power.Registers.Read(0, 2).Should().Be(0);
        _power.Registers.Write(0, 2, 0xFFFF);
        _power.Registers.Read(0, 4).Should().Be(0x0120_0000);
    }

    [Fact]
    public void A_press_is_flagged_and_interrupts_while_it_is_enabled()
    {
        _power.PressPowerButton();
        _power.Registers.Read(0, 2).Should().Be(0x0100, "PWRBTN_STS");
        _sci.Changes.Should().BeEmpty("nobody has enabled it");
        _power.Registers.Write(2, 2, 0x0100);
        _sci.Changes.Should().Equal(true);
        _power.PressPowerButton();
        _sci.Changes.Should().Equal(true);
        _power.Registers.Write(2, 2, 0x0021);
        _sci.Changes.Should().Equal(true, false);
        _power.Registers.Read(0, 4).Should().Be(0x0021_0100, "the flag stays");
        _power.Registers.Write(2, 2, 0x0121);
        _power.Registers.Write(0, 2, 0x0100);
        _sci.Changes.Should().Equal(true, false, true, false);
        _power.Registers.Read(0, 4).Should().Be(0x0121_0000);
        _power.PressPowerButton();
        _sci.Asserted.Should().BeTrue("the next press is a new one");
    }

    [Fact]
    public void The_flag_is_cleared_by_a_one_at_its_bit_and_by_nothing_else()
    {
        _power.Registers.Write(2, 2, 0x0100);
        _power.PressPowerButton();
        _power.Registers.Write(0, 2, 0);
        _power.Registers.Write(0, 2, 0xFEFF);
        _power.Registers.Write(0, 1, 0xFF);
        _power.Registers.Write(1, 1, 0xFE);
        _power.Registers.Read(0, 2).Should().Be(0x0100);
        _sci.Changes.Should().Equal(true);
        _power.Registers.Write(1, 1, 0x01);
        _power.Registers.Read(0, 2).Should().Be(0);
        _sci.Changes.Should().Equal(true, false);
    }

    [Fact]
    public void Status_and_enable_in_one_access_are_what_they_are_apart()
    {
        _power.PressPowerButton();
        _power.Registers.Write(0, 4, 0x0100_0000);
        _sci.Asserted.Should().BeTrue();
        _power.Registers.Write(0, 4, 0x0100_0100);
        _sci.Asserted.Should().BeFalse();
        _power.Registers.Read(0, 4).Should().Be(0x0100_0000);
    }

    [Fact]
    public async Task The_line_follows_status_and_enable_when_vcpus_and_presses_meet()
    {
        var line = new ExclusiveLine();
        var power = new PowerControl(line, _time);
        for (int round = 0; round < 300; round++)
        {
            using var start = new Barrier(4);
            int seed = round;
            Task[] all =
            [
                Task.Run(() => Repeat(start, seed, random => power.Registers.Write(2, 2, random.Next(2) == 0 ? 0u : 0x0100u))),
                Task.Run(() => Repeat(start, seed + 1, random => power.Registers.Write(3, 1, (uint)random.Next(2)))),
                Task.Run(() => Repeat(start, seed + 2, _ => power.Registers.Write(0, 2, 0x0100))),
                Task.Run(() => Repeat(start, seed + 3, _ => power.PressPowerButton())),
            ];
            await Task.WhenAll(all);

            bool wanted = power.Registers.Read(0, 4) == 0x0100_0100;
            line.Level.Should().Be(wanted, "round {0}", round);
        }

        line.Overlaps.Should().Be(0, "a level that is being set is not overtaken by the next");
        line.Repeats.Should().Be(0, "only changes reach the line");
        line.Calls.Should().BeGreaterThan(300, "the rounds have moved it");
    }

    [Fact]
    public void Bytes_of_a_register_are_written_apart()
    {
        _power.Registers.Write(2, 1, 0x20);
        _power.Registers.Write(3, 1, 0x01);
        _power.Registers.Read(2, 2).Should().Be(0x0120);
        _power.Registers.Write(5, 1, (5 << 2) | (1 << 5));
        _off.Should().Be(1, "sleep type and enable bit lie in the upper byte of the control register");
        _power.Registers.Read(4, 4).Should().Be(0x1401, "SCI_EN stays");
        _power.Registers.Write(0xC, 4, 1);
        _resets.Should().Be(1);
    }

    [Fact]
    public void The_keyboard_controller_resets_by_its_pulse_command()
    {
        var port = new ResetPort();
        int resets = 0;
        port.ResetRequested += () => resets++;
        port.Registers.Read(0, 1).Should().Be(0, "a reboot waits for the input buffer to be empty");
        port.Registers.Write(0, 1, 0xD1);
        resets.Should().Be(0);
        port.Registers.Write(0, 1, 0xFE);
        resets.Should().Be(1);
    }

    [Fact]
    public void The_reset_control_register_resets_when_its_bit_is_set()
    {
        var ports = new RecordingPorts();
        var control = new ResetControl(ports);
        int resets = 0;
        control.ResetRequested += () => resets++;
        control.Write(1, 1, 0x02);
        resets.Should().Be(0);
        control.Read(1, 1).Should().Be(2);
        control.Write(1, 1, 0x06);
        control.Write(1, 1, 0x06);
        resets.Should().Be(1, "the bit's edge counts");
        ports.Accesses.Should().Be(0);
    }

    [Fact]
    public void Everything_else_reaches_the_configuration_ports()
    {
        var ports = new RecordingPorts();
        var control = new ResetControl(ports);
        control.Write(0, 4, 0x8000_0600);
        control.Write(0, 1, 6);
        control.Write(2, 1, 6);
        control.Write(5, 1, 6);
        control.Read(0, 4).Should().Be(0x55);
        ports.Accesses.Should().Be(5);
    }

    private static void Repeat(Barrier start, int seed, Action<Random> step)
    {
        var random = new Random(seed);
        start.SignalAndWait();
        foreach (int _ in Enumerable.Range(0, 50 + random.Next(50)))
        {
            step(random);
        }
    }

    /// <summary>A line that notices who drives it while somebody else does.</summary>
    private sealed class ExclusiveLine : IInterruptLine
    {
        private int _inside;

        public bool Level { get; private set; }

        public int Calls { get; private set; }

        public int Overlaps { get; private set; }

        public int Repeats { get; private set; }

        public void SetLevel(bool asserted)
        {
            if (Interlocked.Increment(ref _inside) != 1)
            {
                Overlaps++;
            }

            Repeats += asserted == Level ? 1 : 0;
            Thread.SpinWait(20);
            Level = asserted;
            Calls++;
            Interlocked.Decrement(ref _inside);
        }
    }

    private sealed class RecordingPorts : Vmm.DeviceModel.Bus.IRegionHandler
    {
        public int Accesses { get; private set; }

        public ulong Read(ulong offset, int width)
        {
            Accesses++;
            return 0x55;
        }

        public void Write(ulong offset, int width, ulong value) => Accesses++;
    }
}
