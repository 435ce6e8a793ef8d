using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.Cli.Interop;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;

namespace Vmm.Cli;

/// <summary>Runs a machine, and again after each reset, until it has ended for good.</summary>
internal sealed class GuestRun
{
    private readonly RunArguments _arguments;
    private readonly Lock _lock = new();
    private VirtualMachine? _machine;
    private bool _stopRequested;
    private bool _pressed;

    public GuestRun(RunArguments arguments) => _arguments = arguments;

    /// <summary>Runs.</summary>
    /// <returns>How it ended.</returns>
    /// <exception cref="MachineException">The host failed to give something.</exception>
    public MachineExit Execute()
    {
        using ILoggerFactory? loggers = Logging.Create(_arguments.LogLevel);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        _ = OpenFileLimit.Raise();
        MachineOptions options = _arguments.Machine;
        bool terminal = options.Serial.Kind == CharacterKind.Terminal
            || options.Devices.Any(device => options.Catalogue.KindOf(device).UsesTerminal(device));
        using Terminal? raw = terminal ? Terminal.TryMakeRaw() : null;
        using var trace = new TraceSession(_arguments.Trace);
        using var terminals = new MachineTerminals();
        options = terminals.Open(options);
        options = options with { LoggerFactory = loggers, Escape = raw is null ? null : RequestStop, AccessObserver = trace.Observer };
        while (true)
        {
            MachineExit exit = RunOnce(options);
            if (exit.Reason != MachineExitReason.Reset || !_arguments.RestartOnReset)
            {
                return exit;
            }

            // What was written to files before stays there.
            options = options with { AppendOutput = true };
        }
    }

    private MachineExit RunOnce(MachineOptions options)
    {
        using var machine = VirtualMachine.Create(options);
        lock (_lock)
        {
            if (_stopRequested)
            {
                return new MachineExit(MachineExitReason.Stopped);
            }

            _machine = machine;
        }

        try
        {
            machine.Start();
            return machine.WaitForExit();
        }
        finally
        {
            lock (_lock)
            {
                _machine = null;
            }
        }
    }

    private void OnSignal(PosixSignalContext context)
    {
        context.Cancel = true;
        if (context.Signal != PosixSignal.SIGTERM || !PressPowerButton())
        {
            RequestStop();
        }
    }

    /// <summary>Presses the power button if that is what the first SIGTERM is for.</summary>
    /// <returns>False if it is not, or has been pressed before, or if no machine is there to hear of it.</returns>
    private bool PressPowerButton()
    {
        lock (_lock)
        {
            if (!_arguments.PowerButtonOnTerm || _pressed || _machine is null)
            {
                return false;
            }

            _pressed = true;
            _machine.PressPowerButton();
            return true;
        }
    }

    private void RequestStop()
    {
        lock (_lock)
        {
            _stopRequested = true;
            _machine?.RequestStop();
        }
    }
}
