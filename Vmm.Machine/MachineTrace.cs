using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.DeviceModel.Tracing;
using Vmm.Kvm;

namespace Vmm.Machine;

/// <summary>Makes a trace of the accesses to a machine's devices, for <see cref="MachineOptions.AccessObserver"/>.</summary>
public static class MachineTrace
{
    /// <summary>The path that stands for the standard output.</summary>
    public const string StandardOutput = "-";

    private static readonly string[] Platform = ["serial", "rtc", "acpi", "i8042", "post", "pci", "host-bridge"];

    /// <summary>The names that devices have in a trace: their ids, those of the root ports, and those of what every machine has.</summary>
    /// <param name="options">The machine.</param>
    /// <exception cref="MachineException">Two devices, or a device and a root port, have one id.</exception>
    public static IReadOnlyList<string> DeviceNames(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return [.. options.NameDevices().Select(static device => device.Id!), .. options.RootPorts.Select(static port => port.Name), .. Platform];
    }

    /// <summary>Begins a trace into a file, which is emptied, or on the standard output.</summary>
    /// <param name="path">The file, or <see cref="StandardOutput"/>.</param>
    /// <param name="devices">Names of the devices to trace; null for all.</param>
    /// <exception cref="MachineException">The file cannot be written.</exception>
    public static AccessTrace Begin(string path, IReadOnlyCollection<string>? devices = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        Stream stream;
        try
        {
            stream = path == StandardOutput ? Console.OpenStandardOutput() : new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new MachineException("trace", path, $"cannot be written: {e.Message}", e);
        }

        return new AccessTrace(new StreamWriter(stream), new AccessTraceOptions
        {
            Devices = devices,
            Vcpu = static () => VcpuRunLoop.CurrentVcpu?.Id ?? -1,
        });
    }
}
