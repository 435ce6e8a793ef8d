using System;
using System.Threading;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine.Devices;

/// <summary>The ACPI fixed hardware (PM1 event and control, PM timer) and the reset register (ACPI 6.4, section 4.8).</summary>
/// <remarks>
/// Thread-safe without a lock: every register is one word. <see cref="PowerOffRequested"/> and <see cref="ResetRequested"/> are raised on a vCPU
/// thread, inside the access.
/// </remarks>
public sealed class PowerControl : IComponent
{
    private const int TimerFrequency = 3_579_545;
    private const uint SciEnabled = 1 << 0;
    private const uint SleepEnable = 1 << 13;

    /// <summary>Status has no event to show or to clear, and the timer is read-only; SLP_EN of the control register reads zero.</summary>
    internal static readonly RegisterMap<PowerControl> Map = new("acpi", PowerRegisters.Length, RegisterPolicy.Lanes)
    {
        { PowerRegisters.EventOffset, 2, RegisterAccess.ReadOnly, "pm1_status", static _ => 0 },
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

    private readonly TimeProvider _time;
    private long _start;
    private uint _counted;
    private uint _enable;
    private uint _control = SciEnabled;

    /// <summary>Makes the registers in their state after firmware has switched ACPI on.</summary>
    /// <param name="time">Drives the PM timer.</param>
    public PowerControl(TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
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

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        Registers.Inspect(node);
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        var state = new PowerState
        {
            Enable = (ushort)Volatile.Read(ref _enable),
            Control = (ushort)Volatile.Read(ref _control),
            Timer = TimerValue(),
        };
        return SavedState.Of(PowerState.Kind, PowerState.Version, state, MachineStateJson.Default.PowerState);
    }

    /// <inheritdoc/>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        PowerState power = state.Read(PowerState.Kind, PowerState.Version, MachineStateJson.Default.PowerState);
        SavedState.Require(
            (power.Control & (SciEnabled | SleepEnable)) == SciEnabled, "control", "SCI_EN without SLP_EN", $"0x{power.Control:x4}");
        return () =>
        {
            WriteEnable(power.Enable, ushort.MaxValue);
            WriteControl(power.Control, ushort.MaxValue);
            Volatile.Write(ref _counted, power.Timer);
            Volatile.Write(ref _start, _time.GetTimestamp());
        };
    }

    private void WriteEnable(uint value, uint lanes)
    {
        // Two vCPUs that write a byte each lose neither.
        uint old = Volatile.Read(ref _enable);
        while (Interlocked.CompareExchange(ref _enable, (old & ~lanes) | value, old) is var seen && seen != old)
        {
            old = seen;
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
