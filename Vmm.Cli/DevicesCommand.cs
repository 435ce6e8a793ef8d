using System.CommandLine;
using System.IO;
using Microsoft.Extensions.Logging;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Pci.Diagnostics;

namespace Vmm.Cli;

/// <summary><c>vmm devices</c>: shows the devices that <c>vmm run</c> with the same words would give to its guest.</summary>
internal sealed class DevicesCommand
{
    private readonly RunOptions _machine = new();
    private readonly Option<bool> _configurationSpace = new("--config-space")
    {
        Description = "Print the configuration space of every function instead, as lspci -F FILE reads it",
    };

    /// <summary>The <c>devices</c> command with its options.</summary>
    public Command Create()
    {
        Command command = _machine.CreateCommand("devices", "Shows the devices of a machine, without running it: the words are those of run");
        command.Add(_configurationSpace);
        return command;
    }

    /// <summary>Does what a parsed command line says.</summary>
    /// <param name="result">The command line.</param>
    /// <param name="output">Where the devices are shown.</param>
    /// <exception cref="UsageException">A value is wrong.</exception>
    /// <exception cref="MachineException">A back-end cannot be opened.</exception>
    public void Execute(ParseResult result, TextWriter output)
    {
        RunArguments arguments = _machine.Read(result, needsKernel: false);
        using ILoggerFactory? loggers = Logging.Create(arguments.LogLevel);

        // Looking must not empty the file that a console writes to.
        MachineOptions options = arguments.Machine with { AppendOutput = true, LoggerFactory = loggers };
        using var machine = MachinePreview.Create(options);
        if (result.GetValue(_configurationSpace))
        {
            PciConfigurationDump.Write(machine.HostBridge, output);
        }
        else
        {
            DevicePrinter.Print(machine.Inspect(), output);
        }
    }
}
