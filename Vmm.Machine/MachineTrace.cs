using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Tracing;
using Vmm.Kvm;
using Vmm.Machine.Host;

namespace Vmm.Machine;

/// <summary>Makes a trace of the accesses to a machine's devices, for <see cref="MachineOptions.AccessObserver"/>.</summary>
public static class MachineTrace
{
    private static readonly string[] Platform = ["serial", "rtc", "acpi", "i8042", "post", "pci", "host-bridge"];

    /// <summary>The names that devices have in a trace: their ids, those of the root ports, and those of what every machine has.</summary>
    /// <param name="options">The machine.</param>
    /// <exception cref="MachineException">Two devices, or a device and a root port, have one id.</exception>
    public static IReadOnlyList<string> DeviceNames(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return [.. options.NameDevices().Select(static device => device.Id!), .. options.RootPorts.Select(static port => port.Name), .. Platform];
    }

    /// <summary>Begins a trace into a file, which is emptied.</summary>
    /// <param name="path">The file.</param>
    /// <param name="devices">Names of the devices to trace; null for all.</param>
    /// <exception cref="MachineException">The file cannot be written.</exception>
    public static AccessTrace Begin(string path, IReadOnlyCollection<string>? devices = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        try
        {
            return Begin(new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read), devices);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new MachineException("trace", path, $"cannot be written: {e.Message}", e);
        }
    }

    /// <summary>Begins a trace.</summary>
    /// <param name="output">Takes the lines; the trace disposes it.</param>
    /// <param name="devices">Names of the devices to trace; null for all.</param>
    public static AccessTrace Begin(Stream output, IReadOnlyCollection<string>? devices = null)
    {
        return new AccessTrace(new StreamWriter(output), new AccessTraceOptions
        {
            Devices = devices,
            Vcpu = static () => VcpuRunLoop.CurrentVcpu?.Id ?? -1,
        });
    }
}
