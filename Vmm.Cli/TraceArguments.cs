using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Machine;
using Vmm.Machine.Catalogue;

namespace Vmm.Cli;

/// <summary>The value of <c>--trace</c>.</summary>
/// <param name="Path">The file, or <c>-</c> for the standard output.</param>
/// <param name="Devices">Names of the devices to trace, or null for all.</param>
public sealed record TraceArguments(string Path, IReadOnlyList<string>? Devices)
{
    /// <summary>The option's name.</summary>
    public const string Option = "--trace";

    /// <summary>The path that stands for the standard output.</summary>
    public const string StandardOutput = "-";

    /// <summary>Reads the option's value: <c>FILE</c> or <c>file=FILE</c>, perhaps with <c>devices=disk0+net0</c>.</summary>
    /// <param name="text">The value.</param>
    /// <param name="machine">The machine whose devices are named.</param>
    /// <exception cref="UsageException">A word is wrong, or a device is not one of the machine's.</exception>
    public static TraceArguments Parse(string text, MachineOptions machine)
    {
        ArgumentNullException.ThrowIfNull(text);
        var words = OptionValue.ParseNamed(Option, text, out string? path, "file", "devices");
        if (path is not null && words.Get("file") is { } second)
        {
            throw new UsageException(Option, second, "a second file");
        }

        path ??= words.Require("file");
        string[]? devices = words.Get("devices")?.Split('+');
        IReadOnlyList<string> known = MachineTrace.DeviceNames(machine);
        return devices?.FirstOrDefault(device => !known.Contains(device)) is { } unknown
            ? throw words.Bad("devices", $"no device {unknown}; there are {string.Join(", ", known)}")
            : new TraceArguments(path, devices);
    }
}
