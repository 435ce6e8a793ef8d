using System;
using Vmm.Machine.Devices;

namespace Vmm.Tests.Machine;

/// <summary>ACPI fixed hardware, the reset register and the keyboard controller's reset line.</summary>
public sealed class PowerControlTests
{
    private readonly ManualTime _time = new(DateTimeOffset.UnixEpoch);
    private readonly PowerControl _power;
    private int _off;
    private int _resets;

    public PowerControlTests()
    {
        _power = new PowerControl(_time);
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
