using System;
using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.Machine;

namespace Vmm.Cli;

/// <summary>The options of <c>vmm run</c> and how their values become the options of a machine.</summary>
public sealed class RunOptions
{
    private static readonly string[] LogLevels = ["trace", "debug", "info", "warn", "error", "off"];

    private readonly Option<string[]> _kernel = Text("--kernel", "FILE", "Kernel: a bzImage, or an ELF vmlinux with a PVH entry (needed by run)");
    private readonly Option<string[]> _initramfs = Text("--initramfs", "FILE", "Initramfs");
    private readonly Option<string[]> _cmdline = Text("--cmdline", "TEXT", "Command line of the kernel");
    private readonly Option<string[]> _cpus = Text("--cpus", "boot=N", $"vCPUs, 1 to {MachineLimits.Cpus} (1)");
    private readonly Option<string[]> _memory = Text(
        "--memory", "size=SIZE,...",
        "RAM, with K, M, G or T for a unit (512M); shared=on, hugepages=on for reserved huge pages, thp=off to ask for no transparent ones");
    private readonly Option<string[]> _disk = Text(
        "--disk", "path=FILE,...", "Virtio block device over a raw file; readonly=on, serial=TEXT, num_queues=N; may be repeated");
    private readonly Option<string[]> _net = Text(
        "--net", "tap=NAME,...",
        "Virtio network device on a tap, which is made if absent; ip=ADDRESS and mask=MASK for its host side, mac=MAC, "
        + "num_queues=N receive and transmit queues, 2 a pair (2); may be repeated");
    private readonly Option<string[]> _rng = Text("--rng", "src=FILE,...", "Virtio entropy device");
    private readonly Option<string[]> _console = Text(
        "--console", "off|tty|file=FILE,...", "Virtio console (off); tty needs --serial off, null or file=FILE");
    private readonly Option<string[]> _device = Text(
        "--device", "path=FOLDER,...",
        "PCI device of the host by its folder in /sys/bus/pci/devices, bound to vfio-pci; p2p=on lets other such devices reach its BARs, "
        + "x_nv_gpudirect_clique=N too and says so to the guest, mmap=off has every access exit, "
        + "iommufd=on goes by /dev/iommu instead of the group, id=NAME; may be repeated");
    private readonly Option<string[]> _serial = Text("--serial", "tty|off|null|file=FILE", "Serial port COM1 (tty); Ctrl-A x ends the run");
    private readonly Option<bool[]> _noReboot = new("--no-reboot")
    {
        Description = "End when the guest resets, instead of starting it again",
        Arity = ArgumentArity.Zero,
    };
    private readonly Option<string[]> _logLevel = Text(
        "--log-level", "LEVEL", "What is logged on stderr: trace, debug, info, warn, error or off (warn)");

    /// <summary>A command with these options.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="description">What it does.</param>
    public Command CreateCommand(string name = "run", string description = "Runs a Linux guest")
    {
        return new Command(name, description)
        {
            _kernel, _initramfs, _cmdline, _cpus, _memory, _disk, _net, _rng, _console, _device, _serial, _noReboot, _logLevel,
        };
    }

    /// <summary>Reads a parsed command line.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="needsKernel">A machine without a kernel is a mistake; otherwise its path is empty.</param>
    /// <exception cref="UsageException">A value is wrong.</exception>
    public RunArguments Read(ParseResult result, bool needsKernel = true)
    {
        ArgumentNullException.ThrowIfNull(result);
        string? kernel = Single(result, _kernel);
        if (kernel is null && needsKernel)
        {
            throw new UsageException("--kernel", null, "is needed: the path of a bzImage or a vmlinux");
        }

        CharacterOptions serial = Single(result, _serial) is { } port
            ? DeviceOptionParser.ReadSerial(port)
            : new CharacterOptions(CharacterKind.Terminal);
        if (result.GetResult(_noReboot) is OptionResult { IdentifierTokenCount: > 1 })
        {
            throw new UsageException("--no-reboot", null, "is given twice");
        }

        var names = new HashSet<string>(StringComparer.Ordinal);
        var machine = new MachineOptions
        {
            KernelPath = kernel is null ? "" : NonEmpty("--kernel", kernel),
            InitramfsPath = Single(result, _initramfs) is { } initramfs ? NonEmpty("--initramfs", initramfs) : null,
            CommandLine = Single(result, _cmdline) ?? "",
            CpuCount = ReadCpus(Single(result, _cpus)),
            Memory = ReadMemory(Single(result, _memory)),
            Disks = [.. (result.GetValue(_disk) ?? []).Select(text => DeviceOptionParser.ReadDisk(text, names))],
            Nets = [.. (result.GetValue(_net) ?? []).Select(text => DeviceOptionParser.ReadNet(text, names))],
            Entropy = Single(result, _rng) is { } rng ? DeviceOptionParser.ReadEntropy(rng, names) : null,
            Console = Single(result, _console) is { } console
                ? DeviceOptionParser.ReadConsole(console, names)
                : new ConsoleOptions(new CharacterOptions(CharacterKind.Off)),
            HostDevices = [.. (result.GetValue(_device) ?? []).Select(text => DeviceOptionParser.ReadHostDevice(text, names))],
            Serial = serial,
        };
        if (serial.Kind == CharacterKind.Terminal && machine.Console.Character.Kind == CharacterKind.Terminal)
        {
            throw new UsageException("--console", "tty", "the terminal is the serial port's; add --serial off, null or file=FILE");
        }

        return new RunArguments(machine, result.GetResult(_noReboot) is null, ReadLogLevel(Single(result, _logLevel)));
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

    private static int ReadCpus(string? text)
    {
        if (text is null)
        {
            return 1;
        }

        OptionValue words = OptionValue.Parse("--cpus", text, "boot");
        words.Require("boot");
        return words.GetNumber("boot", 1, MachineLimits.Cpus)!.Value;
    }

    private static MemoryOptions ReadMemory(string? text)
    {
        if (text is null)
        {
            return new MemoryOptions();
        }

        OptionValue words = OptionValue.Parse("--memory", text, "size", "shared", "hugepages", "thp");
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
