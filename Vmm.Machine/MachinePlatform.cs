using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.State;
using Vmm.Kvm;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Devices;
using Vmm.Machine.Layout;

namespace Vmm.Machine;

/// <summary>The devices that sit at fixed ports: serial port, clock, power and reset.</summary>
internal sealed class MachinePlatform : IDisposable
{
    private readonly RealTimeClock _clock;
    private readonly SerialConsole? _serial;

    /// <summary>Makes them and adds them to the ports.</summary>
    /// <param name="options">Which.</param>
    /// <param name="ports">Where they appear.</param>
    /// <param name="lines">Their interrupts.</param>
    /// <param name="stop">Called on a vCPU thread when the guest asks for power-off or reset.</param>
    /// <param name="logger">For the serial port.</param>
    public MachinePlatform(MachineOptions options, AddressSpace ports, IInterruptLines lines, Action<VmStopReason> stop, ILogger logger)
    {
        _clock = new RealTimeClock(lines.GetLine(IsaDevices.RealTimeClockGsi), options.Time);
        try
        {
            if (options.Serial.Kind != CharacterKind.Off)
            {
                _serial = SerialConsole.Create(options, lines.GetLine(IsaDevices.SerialGsi), logger);
                Add(ports, "serial", IsaDevices.SerialPort, SerialPort.Length, _serial.Port.Registers);
            }

            Power = new PowerControl(lines.GetLine(IsaDevices.AcpiGsi), options.Time);
            Power.PowerOffRequested += () => stop(VmStopReason.PowerOff);
            Power.ResetRequested += () => stop(VmStopReason.Reset);
            var keyboard = new ResetPort();
            keyboard.ResetRequested += () => stop(VmStopReason.Reset);
            Add(ports, "rtc", IsaDevices.RealTimeClock, RealTimeClock.Length, _clock.Registers);
            Add(ports, "acpi", PowerRegisters.BasePort, (ulong)PowerControl.Length, Power.Registers);
            Add(ports, "i8042", IsaDevices.KeyboardCommand, ResetPort.Length, keyboard.Registers);
            Add(ports, "post", IsaDevices.PostCode, 1, new IgnoredPort());
            Components = _serial is null ? [_clock, Power, keyboard] : [_serial.Port, _clock, Power, keyboard];
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Where the serial port's pseudo-terminal can be opened; null if it is not on one.</summary>
    public string? SerialPath => _serial?.Path;

    /// <summary>The ACPI registers, and the power button.</summary>
    public PowerControl Power { get; }

    /// <summary>Those of them that have registers.</summary>
    public IReadOnlyList<IComponent> Components { get; }

    /// <summary>Lets the last output go out and stops the timers and threads.</summary>
    public void Dispose()
    {
        _clock.Dispose();
        _serial?.Dispose();
    }

    private static void Add(AddressSpace ports, string name, ushort port, ulong length, IRegionHandler handler)
    {
        ports.Add(new HandlerClaim(name, length, handler, ClaimPriority.Platform), port);
    }
}
