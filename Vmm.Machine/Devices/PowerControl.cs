using System;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine.Devices;

/// <summary>The ACPI fixed hardware (PM1 event and control, power button, PM timer) and the reset register (ACPI 6.4, section 4.8).</summary>
/// <remarks>
/// Thread-safe. A lock covers the event registers and the line, which is driven under it so that levels come in the order of what caused them; every
/// other register is one word. <see cref="PowerOffRequested"/> and <see cref="ResetRequested"/> are raised on a vCPU thread, inside the access.
/// </remarks>
public sealed class PowerControl : IComponent
{
    private const int TimerFrequency = 3_579_545;
    private const uint SciEnabled = 1 << 0;
    private const uint SleepEnable = 1 << 13;

    /// <summary>PWRBTN_STS and PWRBTN_EN, the only event there is (ACPI 6.4, 4.8.3.1.1 and 4.8.3.1.2).</summary>
    private const uint PowerButton = 1 << 8;

    /// <summary>A bit of the status is cleared by writing one; the timer is read-only; SLP_EN of the control register reads zero.</summary>
    internal static readonly RegisterMap<PowerControl> Map = new("acpi", PowerRegisters.Length, RegisterPolicy.Lanes)
    {
        {
            PowerRegisters.EventOffset, 2, RegisterAccess.ReadWrite, "pm1_status",
            static p => Volatile.Read(ref p._status), static (p, value, lanes) => p.ClearStatus((uint)value)
        },
        {
            PowerRegisters.EventOffset + 2, 2, RegisterAccess.ReadWrite, "pm1_enable",
            static p => Volatile.Read(ref p._enable), static (p, value, lanes) => p.WriteEnable((uint)value, (uint)lanes)
        },
        {
            PowerRegisters.ControlOffset, 2, RegisterAccess.ReadWrite, "pm1_control",
            static p => Volatile.Read(ref p._control), static (p, value, lanes) => p.WriteControl((uint)value, (uint)lanes)
        },
        { PowerRegisters.TimerOffset, 4, RegisterAccess.ReadOnly, "pm_timer", static p => p.TimerValue() },
        { PowerRegisters.ResetOffset, 1, RegisterAccess.WriteOnly, "reset", static (p, value) => p.WriteReset((byte)value) },
    };

    private readonly Lock _lock = new();
    private readonly IInterruptLine _sci;
    private readonly TimeProvider _time;
    private long _start;
    private uint _counted;
    private uint _status;
    private uint _enable;
    private bool _asserted;
    private uint _control = SciEnabled;

    /// <summary>Makes the registers in their state after firmware has switched ACPI on.</summary>
    /// <param name="sci">The system control interrupt: asserted while an event is flagged and enabled.</param>
    /// <param name="time">Drives the PM timer.</param>
    public PowerControl(IInterruptLine sci, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(sci);
        ArgumentNullException.ThrowIfNull(time);
        _sci = sci;
        _time = time;
        _start = time.GetTimestamp();
        Registers = Map.Bind(this);
    }

    /// <summary>The block of ports.</summary>
    public IRegisterBlock Registers { get; }

    /// <summary>Ports of the block.</summary>
    public static int Length => PowerRegisters.Length;

    /// <summary>The guest entered S5.</summary>
    public event Action? PowerOffRequested;

    /// <summary>The guest wrote the reset register.</summary>
    public event Action? ResetRequested;

    string IComponent.Name => "acpi";

    /// <summary>An event is flagged and enabled. SCI_EN is always set, so that it is the SCI's (ACPI 6.4, 4.8.3.2.1). Under the lock.</summary>
    private bool IsPending => (_status & _enable & PowerButton) != 0;

    /// <summary>
    /// Presses the power button, as a finger that lets go at once: the guest is told if it listens (ACPI 6.4, 4.8.2.2.1.1). From any thread; a press
    /// that the guest has not seen yet is the same as this one.
    /// </summary>
    public void PressPowerButton()
    {
        lock (_lock)
        {
            _status |= PowerButton;
            UpdateLine();
        }
    }

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        Registers.Inspect(node);
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        PowerState state;
        lock (_lock)
        {
            state = new PowerState
            {
                Status = (ushort)_status,
                Enable = (ushort)_enable,
                Control = (ushort)Volatile.Read(ref _control),
                Timer = TimerValue(),
            };
        }

        return SavedState.Of(PowerState.Kind, PowerState.Version, state, MachineStateJson.Default.PowerState);
    }

    /// <inheritdoc/>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        int version = state.Version == PowerState.WithoutStatus ? PowerState.WithoutStatus : PowerState.Version;
        PowerState power = state.Read(PowerState.Kind, version, MachineStateJson.Default.PowerState);
        SavedState.Require(
            power.Status.HasValue == (version != PowerState.WithoutStatus), "status", "there from version 2 on", power.Status);
        uint status = power.Status ?? 0;
        SavedState.Require((status & ~PowerButton) == 0, "status", "PWRBTN_STS or nothing", $"0x{status:x4}");
        SavedState.Require(
            (power.Control & (SciEnabled | SleepEnable)) == SciEnabled, "control", "SCI_EN without SLP_EN", $"0x{power.Control:x4}");
        return () => Restore(power, status);
    }

    private void Restore(PowerState power, uint status)
    {
        lock (_lock)
        {
            (_status, _enable) = (status, power.Enable);

            // Whatever level the line had: it is that of another machine's past.
            _asserted = !IsPending;
            UpdateLine();
        }

        WriteControl(power.Control, ushort.MaxValue);
        Volatile.Write(ref _counted, power.Timer);
        Volatile.Write(ref _start, _time.GetTimestamp());
    }

    private void ClearStatus(uint ones)
    {
        lock (_lock)
        {
            _status &= ~ones;
            UpdateLine();
        }
    }

    private void WriteEnable(uint value, uint lanes)
    {
        lock (_lock)
        {
            _enable = (_enable & ~lanes) | value;
            UpdateLine();
        }
    }

    /// <summary>Drives the line where its level changes. Under the lock.</summary>
    private void UpdateLine()
    {
        bool pending = IsPending;
        if (pending != _asserted)
        {
            _asserted = pending;
            _sci.SetLevel(pending);
        }
    }

    private void WriteControl(uint value, uint lanes)
    {
        uint old = Volatile.Read(ref _control);
        uint written;
        while (true)
        {
            // SLP_EN is write-only; SCI_EN is the firmware's.
            written = (old & ~lanes) | value;
            uint seen = Interlocked.CompareExchange(ref _control, (written & ~SleepEnable) | SciEnabled, old);
            if (seen == old)
            {
                break;
            }

            old = seen;
        }

        if ((written & SleepEnable) != 0 && ((written >> 10) & 7) == PowerRegisters.SleepTypeOff)
        {
            PowerOffRequested?.Invoke();
        }
    }

    private void WriteReset(byte value)
    {
        if (value == PowerRegisters.ResetValue)
        {
            ResetRequested?.Invoke();
        }
    }

    private uint TimerValue()
    {
        long passed = _time.GetTimestamp() - Volatile.Read(ref _start);
        return Volatile.Read(ref _counted) + (uint)(ulong)((Int128)passed * TimerFrequency / _time.TimestampFrequency);
    }
}
