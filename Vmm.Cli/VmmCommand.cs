using System;
using System.CommandLine;
using System.CommandLine.Parsing;
using System.IO;
using System.Linq;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;

namespace Vmm.Cli;

/// <summary>The <c>vmm</c> command.</summary>
public static class VmmCommand
{
    /// <summary>Runs a command line.</summary>
    /// <param name="args">Its words.</param>
    /// <param name="error">Where errors go; standard error without it.</param>
    /// <returns>The exit status, see <see cref="ExitStatus"/>.</returns>
    public static int Run(string[] args, TextWriter? error = null)
    {
        ArgumentNullException.ThrowIfNull(args);
        try
        {
            if (CloudHypervisor.IsCalled())
            {
                if (CloudHypervisor.AsksForVersion(args))
                {
                    Console.Out.WriteLine(CloudHypervisor.VersionLine);
                    return ExitStatus.Success;
                }

                args = CloudHypervisor.Translate(args);
            }

            return Dispatch(args, error);
        }
        catch (UsageException e)
        {
            string command = args is [("run" or "conformance" or "devices" or "ctl") and var known, ..] ? $"vmm {known}" : "vmm";
            return Fail(error, $"{e.Message} (see {command} --help)", ExitStatus.Usage);
        }
        catch (MachineException e)
        {
            return Fail(error, Describe(e), ExitStatus.HostFailed);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // What is read or written beside it has failed with its own name before. The reason of a closed one is inside.
            return Fail(error, $"standard output: {(e.InnerException ?? e).Message}", ExitStatus.HostFailed);
        }
    }

    /// <summary>How the words are taken apart: a value that starts with @ is a value, and -abc is not -a -b -c.</summary>
    public static ParserConfiguration CreateParserConfiguration() => new() { EnablePosixBundling = false, ResponseFileTokenReplacer = null };

    /// <summary>Writes the one line that a failing run ends with.</summary>
    internal static int Fail(TextWriter? error, string message, int status)
    {
        try
        {
            (error ?? Console.Error).WriteLine($"vmm: {message.ReplaceLineEndings(" ")}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // There is no place left to say it; the status does.
        }

        return status;
    }

    private static int Dispatch(string[] args, TextWriter? error)
    {
        var options = new RunOptions();
        Command run = options.CreateCommand();
        var conformance = new ConformanceCommand();
        Command check = conformance.Create();
        var devices = new DevicesCommand();
        Command list = devices.Create();
        var ctl = new CtlCommand();
        Command ask = ctl.Create();
        var root = new RootCommand("Runs Linux guests on KVM with VmmDevices' own devices.") { run, check, list, ask };
        ParseResult result = root.Parse(args, CreateParserConfiguration());

        // Help and version. An output that cannot be written is for the caller to name.
        var plain = new InvocationConfiguration { EnableDefaultExceptionHandler = false };
        if (result.Action is { } action && result.Errors.Count == 0 && result.CommandResult.Command == root)
        {
            return result.Invoke(plain);
        }

        if (result.Action is System.CommandLine.Help.HelpAction)
        {
            int status = result.Invoke(plain);
            Console.Out.WriteLine(VirtioWords.Help);
            return status;
        }

        if (result.UnmatchedTokens is [string unknown, ..])
        {
            throw new UsageException(unknown, null, "unknown word");
        }

        if (result.CommandResult.Command == root)
        {
            throw new UsageException("the command line", null, "needs a command: run, devices, conformance or ctl");
        }

        if (result.Errors is [ParseError first, ..])
        {
            throw Explain(first);
        }

        if (result.CommandResult.Command == check)
        {
            return conformance.Execute(result, Console.Out);
        }

        if (result.CommandResult.Command == list)
        {
            devices.Execute(result, Console.Out);
            return ExitStatus.Success;
        }

        if (result.CommandResult.Command == ask)
        {
            ctl.Execute(result, Console.Out);
            return ExitStatus.Success;
        }

        MachineExit exit = new GuestRun(options.Read(result)).Execute();
        return exit.Reason switch
        {
            MachineExitReason.HostFailed => Fail(error, exit.Detail, ExitStatus.HostFailed),
            MachineExitReason.GuestDied => Fail(error, $"{exit.Detail} (the registers are shown with --log-level info)", ExitStatus.GuestDied),
            _ => ExitStatus.Success,
        };
    }

    private static UsageException Explain(ParseError error)
    {
        for (SymbolResult? symbol = error.SymbolResult; symbol is not null; symbol = symbol.Parent)
        {
            if (symbol is OptionResult option)
            {
                return new UsageException(option.Option.Name, null, option.Tokens.Any() ? error.Message : "needs a value");
            }
        }

        return new UsageException("the command line", null, error.Message);
    }

    /// <summary>The parts of a machine are called like the options, except for the hypervisor, which is not one.</summary>
    private static string Describe(MachineException e)
    {
        return e.Part == MachineException.Whole ? e.Reason : $"--{e.Message}";
    }
}
