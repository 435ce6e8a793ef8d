using System;
using System.Threading;
using Vmm.DeviceModel.Bus;

namespace Vmm.Machine.Devices;

/// <summary>The ACPI fixed hardware (PM1 event and control, PM timer) and the reset register (ACPI 6.4, section 4.8).</summary>
/// <remarks>
/// Thread-safe without a lock: every register is one word. <see cref="PowerOffRequested"/> and <see cref="ResetRequested"/> are raised on a vCPU
/// thread, inside the access.
/// </remarks>
public sealed class PowerControl : IRegionHandler
{
    private const int TimerFrequency = 3_579_545;
    private const uint SciEnabled = 1 << 0;
    private const uint SleepEnable = 1 << 13;

    private readonly TimeProvider _time;
    private readonly long _start;
    private uint _enable;
    private uint _control = SciEnabled;

    /// <summary>Makes the registers in their state after firmware has switched ACPI on.</summary>
    /// <param name="time">Drives the PM timer.</param>
    public PowerControl(TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(time);
        _time = time;
        _start = time.GetTimestamp();
    }

    /// <summary>Ports of the block.</summary>
    public static int Length => PowerRegisters.Length;

    /// <summary>The guest entered S5.</summary>
    public event Action? PowerOffRequested;

    /// <summary>The guest wrote the reset register.</summary>
    public event Action? ResetRequested;

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width)
    {
        // Status and enable, control, timer, reset: one aligned word each, so a narrower read is a part of it.
        uint word = (offset & ~3UL) switch
        {
            PowerRegisters.EventOffset => Volatile.Read(ref _enable) << 16,
            PowerRegisters.ControlOffset => Volatile.Read(ref _control),
            PowerRegisters.TimerOffset => TimerValue(),
            _ => 0,
        };
        return (word >> (8 * (int)(offset & 3))) & (width >= 4 ? uint.MaxValue : (1U << (8 * width)) - 1);
    }

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
        switch (offset)
        {
            case PowerRegisters.EventOffset + 2 when width == 2:
                Volatile.Write(ref _enable, (uint)value & 0xFFFF);
                break;
            case PowerRegisters.EventOffset when width == 4:
                Volatile.Write(ref _enable, (uint)(value >> 16) & 0xFFFF);
                break;
            case PowerRegisters.ControlOffset when width >= 2:
                WriteControl((uint)value & 0xFFFF);
                break;
            case PowerRegisters.ResetOffset:
                if ((byte)value == PowerRegisters.ResetValue)
                {
                    ResetRequested?.Invoke();
                }

                break;
            default:
                break;                                          // status has no event to clear, the timer is read-only
        }
    }

    private void WriteControl(uint value)
    {
        // SLP_EN is write-only; SCI_EN is the firmware's.
        Volatile.Write(ref _control, (value & ~SleepEnable) | SciEnabled);
        if ((value & SleepEnable) != 0 && ((value >> 10) & 7) == PowerRegisters.SleepTypeOff)
        {
            PowerOffRequested?.Invoke();
        }
    }

    private uint TimerValue()
    {
        return (uint)(ulong)((Int128)(_time.GetTimestamp() - _start) * TimerFrequency / _time.TimestampFrequency);
    }
}
