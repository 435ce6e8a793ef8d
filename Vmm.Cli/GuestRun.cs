using System;
using System.Diagnostics;
using System.Linq;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.Api;
using Vmm.Cli.Interop;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Control;
using Vmm.Machine.Events;
using Vmm.Machine.Host;

namespace Vmm.Cli;

/// <summary>Runs a machine, and again after each reset, until it has ended for good; with an API socket, by what is asked for there.</summary>
internal sealed class GuestRun
{
    // A signal that comes so long after the first one ends the process, whatever that waits for.
    private static readonly TimeSpan Insistence = TimeSpan.FromSeconds(30);

    private readonly RunArguments _arguments;
    private MachineController? _controller;
    private bool _pressed;
    private long _firstSignal;

    public GuestRun(RunArguments arguments) => _arguments = arguments;

    /// <summary>Runs.</summary>
    /// <returns>How it ended.</returns>
    /// <exception cref="MachineException">The host failed to give something.</exception>
    public MachineExit Execute()
    {
        using ILoggerFactory? loggers = Logging.Create(_arguments.LogLevel);
        _ = OpenFileLimit.Raise();
        MachineOptions options = _arguments.Machine;
        bool terminal = options.KernelPath.Length != 0
            && (options.Serial.Kind == CharacterKind.Terminal
                || options.Devices.Any(device => options.Catalogue.KindOf(device).UsesTerminal(device)));
        using Terminal? raw = terminal ? Terminal.TryMakeRaw() : null;
        using var trace = new TraceSession(_arguments.Trace);
        using EventMonitor? events = OpenEvents(loggers);
        using var controller = new MachineController(new ControllerOptions
        {
            RestartOnReset = _arguments.RestartOnReset,
            OnEvent = events is null ? null : events.Post,
            Prepare = machine => machine with
            {
                LoggerFactory = loggers,
                Escape = raw is null ? null : () => _controller!.RequestEnd(),
                AccessObserver = trace.Observer,
            },
        });
        _controller = controller;
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, OnSignal);
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, OnSignal);
        using var hangup = PosixSignalRegistration.Create(PosixSignal.SIGHUP, OnSignal);
        return _arguments.Api is { } api ? RunWithApi(controller, api, loggers) : RunAlone(controller);
    }

    private MachineExit RunAlone(MachineController controller)
    {
        Task start = Begin(controller);
        MachineExit exit = controller.Run();
        Rethrow(start);
        return exit;
    }

    // Not inlined: the assemblies of the API are loaded when this is compiled.
    [MethodImpl(MethodImplOptions.NoInlining)]
    private MachineExit RunWithApi(MachineController controller, Endpoint api, ILoggerFactory? loggers)
    {
        ApiServer server = ApiServer.StartAsync(controller, new ApiServerOptions
        {
            Path = api.Path,
            Descriptor = api.Descriptor,
            Version = "v" + CloudHypervisor.Version,
            BuildVersion = "vmm " + Assembly.GetExecutingAssembly().GetName().Version?.ToString(3),
            LoggerFactory = loggers,
        }).GetAwaiter().GetResult();
        try
        {
            Task start = _arguments.Machine.KernelPath.Length == 0 ? Task.CompletedTask : Begin(controller);
            MachineExit exit = controller.Run();
            Rethrow(start);
            return exit;
        }
        finally
        {
            server.DisposeAsync().AsTask().GetAwaiter().GetResult();
        }
    }

    /// <summary>Makes and boots the machine of the command line; one that cannot be ends the run.</summary>
    private Task Begin(MachineController controller)
    {
        Task created = controller.CreateAsync(_arguments.Machine);
        Task booted = controller.BootAsync();
        booted.ContinueWith(
            _ => controller.RequestEnd(), default, TaskContinuationOptions.NotOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously,
            TaskScheduler.Default);
        return Task.WhenAll(created, booted);
    }

    /// <summary>A start that failed is the run's failure.</summary>
    private static void Rethrow(Task start)
    {
        // All commands have ended with the controller; their tasks a moment later.
        _ = Task.WhenAny(start).GetAwaiter().GetResult();
        Exception? failure = start.IsFaulted ? start.Exception!.InnerExceptions[0] : null;
        switch (failure)
        {
            case null:
                return;
            case ControlException { InnerException: MachineException cause }:
                throw new MachineException(cause.Part, cause.Subject, cause.Reason, cause);
            case ControlException { Error: ControlError.WrongState }:
                // It was asked to end before it had begun.
                return;
            default:
                throw new MachineException(MachineException.Whole, null, failure.Message, failure);
        }
    }

    private EventMonitor? OpenEvents(ILoggerFactory? loggers) => _arguments.Events switch
    {
        { Path: { } path } => EventMonitor.Open(path, loggers),
        { Descriptor: { } descriptor } => EventMonitor.Adopt(descriptor, loggers),
        _ => null,
    };

    private void OnSignal(PosixSignalContext context)
    {
        // Should the host keep the end from coming (a file system that does not answer), whoever insists gets what a signal does.
        long first = Interlocked.CompareExchange(ref _firstSignal, Stopwatch.GetTimestamp(), 0);
        context.Cancel = first == 0 || Stopwatch.GetElapsedTime(first) < Insistence;
        if (context.Signal != PosixSignal.SIGTERM || !_arguments.PowerButtonOnTerm || Interlocked.Exchange(ref _pressed, true)
            || !_controller!.TryPressPowerButton())
        {
            _controller!.RequestEnd();
        }
    }
}
