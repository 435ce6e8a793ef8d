using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Tracing;
using Vmm.Machine;
using Vmm.Machine.Host;

namespace Vmm.Cli;

/// <summary>The trace of a run, which goes on over restarts of the guest; what it could not write is said at the end.</summary>
internal sealed class TraceSession : IDisposable
{
    private readonly AccessTrace? _trace;

    /// <summary>Begins a trace, or none.</summary>
    /// <param name="arguments">The arguments of the option, or null.</param>
    /// <exception cref="MachineException">The file cannot be written.</exception>
    public TraceSession(TraceArguments? arguments)
    {
        _trace = arguments switch
        {
            null => null,
            { Path: TraceArguments.StandardOutput } => MachineTrace.Begin(Console.OpenStandardOutput(), arguments.Devices),
            _ => MachineTrace.Begin(arguments.Path, arguments.Devices),
        };
    }

    /// <summary>The observer of the accesses, or null.</summary>
    public IAccessObserver? Observer => _trace;

    /// <summary>Writes what is left. The machine has ended.</summary>
    public void Dispose()
    {
        if (_trace is null)
        {
            return;
        }

        _trace.Dispose();
        if (_trace.Lost != 0 || _trace.Failure is not null)
        {
            string reason = _trace.Failure?.Message ?? "the output was too slow";
            _ = VmmCommand.Fail(null, $"--trace: {_trace.Lost} accesses were not written: {reason}", status: 0);
        }
    }
}
