using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;
using Vmm.Pci.Bridges;

namespace Vmm.Cli;

/// <summary>The options of <c>vmm run</c> and how their values become the options of a machine.</summary>
public sealed class RunOptions
{
    private const string RootPorts = "--pci-root-ports";
    private const int ApiRootPorts = 8;
    private const string ApiSocket = "--api-socket";
    private const string EventMonitor = "--event-monitor";
    private const string OnTerm = "--on-term";

    private static readonly string[] LogLevels = ["trace", "debug", "info", "warn", "error", "off"];

    private readonly Option<string[]> _kernel = Text("--kernel", "FILE", "Kernel: a bzImage, or an ELF vmlinux with a PVH entry (needed by run)");
    private readonly Option<string[]> _initramfs = Text("--initramfs", "FILE", "Initramfs");
    private readonly Option<string[]> _cmdline = Text("--cmdline", "TEXT", "Command line of the kernel");
    private readonly Option<string[]> _cpus = Text("--cpus", "boot=N", $"vCPUs, 1 to {MachineLimits.Cpus} (1)");
    private readonly Option<string[]> _memory = Text(
        "--memory", "size=SIZE,...",
        "RAM, with K, M, G or T for a unit (512M); shared=on, hugepages=on for reserved huge pages, thp=off to ask for no transparent ones");
    private readonly Option<string[]> _rootPorts = Text(
        RootPorts, "N",
        $"PCI Express root ports with empty slots for devices that come while the guest runs, 0 to {MachineLimits.Slots} "
        + $"(0; {ApiRootPorts} with {ApiSocket})");
    private readonly Option<string[]> _serial = Text(
        "--serial", "tty|pty|off|null|file=FILE", "Serial port COM1 (tty); Ctrl-A x ends the run; pty makes a pseudo-terminal");
    private readonly Option<bool[]> _noReboot = new("--no-reboot")
    {
        Description = "End when the guest resets, instead of starting it again",
        Arity = ArgumentArity.Zero,
    };
    private readonly Option<string[]> _api = Text(
        ApiSocket, "path=PATH|fd=N", "Answer cloud-hypervisor's API on a Unix socket; without a kernel, wait for what it asks for");
    private readonly Option<string[]> _events = Text(
        EventMonitor, "path=PATH|fd=N", "Write what happens to a file, a pipe or a descriptor, as JSON objects");
    private readonly Option<string[]> _onTerm = Text(
        OnTerm, "stop|power-button", "What SIGTERM does (stop): power-button asks the guest to shut down, and a second SIGTERM stops");
    private readonly Option<string[]> _logLevel = Text(
        "--log-level", "LEVEL", "What is logged on stderr: trace, debug, info, warn, error or off (warn)");
    private readonly Option<string[]> _trace = Text(
        TraceArguments.Option, "FILE|-,...",
        "Trace accesses to devices by the names of their registers; devices=ID+ID for some of them (all)");
    private readonly DeviceCatalogue _catalogue;
    private readonly IReadOnlyList<(DeviceKind Kind, Option<string[]> Option)> _devices;

    /// <summary>Options for the devices of a catalogue.</summary>
    /// <param name="catalogue">The catalogue; the library's own without it.</param>
    public RunOptions(DeviceCatalogue? catalogue = null)
    {
        _catalogue = catalogue ?? DeviceCatalogue.Default;
        _devices = [.. _catalogue.Kinds.Select(static kind => (kind, Text(kind.Option, kind.Form, kind.Description)))];
    }

    /// <summary>A command with these options.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">What it does.</param>
    public Command CreateCommand(string name = "run", string description = "Runs a Linux guest")
    {
        var command = new Command(name, description);
        Option[] all =
        [
            _kernel, _initramfs, _cmdline, _cpus, _memory, .. _devices.Select(static device => device.Option), _rootPorts, _serial, _noReboot,
            _onTerm, _api, _events, _logLevel, _trace,
        ];
        foreach (Option option in all)
        {
            command.Add(option);
        }

        return command;
    }

    /// <summary>Reads a parsed command line.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="needsKernel">A machine without a kernel is a mistake; otherwise its path is empty.</param>
    /// <exception cref="UsageException">A value is wrong.</exception>
    public RunArguments Read(ParseResult result, bool needsKernel = true)
    {
        ArgumentNullException.ThrowIfNull(result);
        string? kernel = Single(result, _kernel);
        Endpoint? api = Single(result, _api) is { } socket ? Endpoint.Parse(ApiSocket, socket) : null;
        if (kernel is null && needsKernel && api is null)
        {
            throw new UsageException("--kernel", null, "is needed: the path of a bzImage or a vmlinux");
        }

        CharacterOptions serial = Single(result, _serial) is { } port
            ? CharacterWords.ReadSerial(_serial.Name, port)
            : new CharacterOptions(CharacterKind.Terminal);
        if (result.GetResult(_noReboot) is OptionResult { IdentifierTokenCount: > 1 })
        {
            throw new UsageException("--no-reboot", null, "is given twice");
        }

        List<DeviceOptions> devices = ReadDevices(result);
        CheckTerminal(serial, devices);
        var machine = new MachineOptions
        {
            KernelPath = kernel is null ? "" : NonEmpty("--kernel", kernel),
            InitramfsPath = Single(result, _initramfs) is { } initramfs ? NonEmpty("--initramfs", initramfs) : null,
            CommandLine = Single(result, _cmdline) ?? "",
            CpuCount = ReadCpus(Single(result, _cpus)),
            Memory = ReadMemory(Single(result, _memory)),
            Devices = devices,
            Catalogue = _catalogue,
            RootPorts = ReadRootPorts(Single(result, _rootPorts), api is null ? 0 : int.Clamp(MachineLimits.Slots - devices.Count, 0, ApiRootPorts)),
            Serial = serial,
        };
        CheckIds(machine);
        TraceArguments? trace = Single(result, _trace) is { } text ? TraceArguments.Parse(text, machine) : null;
        LogLevel logLevel = ReadLogLevel(Single(result, _logLevel));
        return new RunArguments(machine, result.GetResult(_noReboot) is null, logLevel, trace, ReadOnTerm(Single(result, _onTerm)))
        {
            Api = api,
            Events = Single(result, _events) is { } events ? Endpoint.Parse(EventMonitor, events) : null,
        };
    }

    private static Option<string[]> Text(string name, string form, string description)
    {
        return new Option<string[]>(name) { HelpName = form, Description = description, Arity = ArgumentArity.OneOrMore };
    }

    private static string? Single(ParseResult result, Option<string[]> option)
    {
        string[] values = result.GetValue(option) ?? [];
        return values.Length > 1 ? throw new UsageException(option.Name, values[1], "is given twice") : values.FirstOrDefault();
    }

    private static string NonEmpty(string option, string path)
    {
        return path.Length == 0 ? throw new UsageException(option, null, "an empty path") : path;
    }

    /// <summary>In the order of the catalogue, and of the command line within a kind.</summary>
    private List<DeviceOptions> ReadDevices(ParseResult result)
    {
        var devices = new List<DeviceOptions>();
        foreach ((DeviceKind kind, Option<string[]> option) in _devices)
        {
            string[] values = result.GetValue(option) ?? [];
            if (values.Length > 1 && !kind.IsRepeatable)
            {
                throw new UsageException(option.Name, values[1], "is given twice");
            }

            IEnumerable<DeviceOptions?> given = values.Length == 0 ? [kind.Default] : values.Select(kind.Parse);
            devices.AddRange(given.OfType<DeviceOptions>());
        }

        return devices;
    }

    private static void CheckIds(MachineOptions machine)
    {
        try
        {
            _ = machine.NameDevices();
        }
        catch (MachineException e)
        {
            throw new UsageException($"--{e.Part}", e.Subject, e.Reason);
        }
    }

    private void CheckTerminal(CharacterOptions serial, IReadOnlyList<DeviceOptions> devices)
    {
        string? owner = serial.Kind == CharacterKind.Terminal ? "the serial port's; add --serial off, null, pty or file=FILE" : null;
        foreach (DeviceKind kind in devices.Select(device => (Device: device, Kind: _catalogue.KindOf(device)))
            .Where(static pair => pair.Kind.UsesTerminal(pair.Device)).Select(static pair => pair.Kind))
        {
            if (owner is not null)
            {
                throw new UsageException(kind.Option, "tty", $"the terminal is {owner}");
            }

            owner = $"another {kind.Option}'s";
        }
    }

    private static PciRootPortOptions[] ReadRootPorts(string? text, int absent)
    {
        text ??= absent.ToString(CultureInfo.InvariantCulture);
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count <= MachineLimits.Slots
            ? [.. Enumerable.Range(1, count).Select(static number => new PciRootPortOptions { Name = $"port{number}", SlotNumber = number })]
            : throw new UsageException(RootPorts, text, $"not a number from 0 to {MachineLimits.Slots}");
    }

    private static int ReadCpus(string? text)
    {
        if (text is null)
        {
            return 1;
        }

        var words = OptionValue.Parse("--cpus", text, "boot");
        words.Require("boot");
        return words.GetNumber("boot", 1, MachineLimits.Cpus)!.Value;
    }

    private static MemoryOptions ReadMemory(string? text)
    {
        if (text is null)
        {
            return new MemoryOptions();
        }

        var words = OptionValue.Parse("--memory", text, "size", "shared", "hugepages", "thp");
        words.Require("size");
        ulong size = words.GetSize("size")!.Value;
        bool hugePages = words.GetSwitch("hugepages");
        if (size < MemoryLayout.MinimumSize)
        {
            throw words.Bad("size", $"a machine needs at least {MemoryLayout.MinimumSize >> 20}M");
        }

        ulong unit = hugePages ? 2UL << 20 : 4096;
        return size % unit != 0
            ? throw words.Bad("size", $"not a multiple of {(hugePages ? "2M, the size of a huge page" : "4K, the size of a page")}")
            : new MemoryOptions(size, words.GetSwitch("shared"), hugePages, words.GetSwitch("thp", absent: true));
    }

    /// <returns>True for the power button.</returns>
    private static bool ReadOnTerm(string? text) => text switch
    {
        null or "stop" => false,
        "power-button" => true,
        _ => throw new UsageException(OnTerm, text, "want stop or power-button"),
    };

    private static LogLevel ReadLogLevel(string? text)
    {
        return text switch
        {
            "trace" => LogLevel.Trace,
            "debug" => LogLevel.Debug,
            "info" => LogLevel.Information,
            null or "warn" => LogLevel.Warning,
            "error" => LogLevel.Error,
            "off" => LogLevel.None,
            _ => throw new UsageException("--log-level", text, $"want one of {string.Join(", ", LogLevels)}"),
        };
    }
}
