using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.State;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Events;
using Vmm.Machine.Host;

namespace Vmm.Machine.Control;

/// <summary>Runs one machine at a time by commands, and again after each reset, until it has ended for good (CTL-2).</summary>
/// <remarks>
/// <para>
/// Commands may be given from any thread at any time. The thread in <see cref="Run"/> carries them out one after the other, so two never meet; what
/// only looks (<see cref="Info"/>, <see cref="Inspect"/>) does not wait for them. A removal is begun by a command and waited for by whoever
/// asked, not by the thread.
/// </para>
/// <para>
/// The controller ends when the guest powers off or dies, when <see cref="RequestEnd"/> is called, and at a reset if it does not restart. A command
/// that comes later fails.
/// </para>
/// </remarks>
public sealed partial class MachineController : IDisposable
{
    // How long a machine that starts waits for the disks of the last one.
    private static readonly TimeSpan DiskLimit = TimeSpan.FromMinutes(1);

    private readonly ControllerOptions _options;
    private readonly BlockingCollection<Action> _commands = [];

    // Held while somebody looks at a machine, and while it is taken out of sight before it is disposed.
    private readonly Lock _sight = new();
    private readonly ManualResetEventSlim _over = new();
    private readonly MachineTerminals _terminals = new();

    // As they were asked for.
    private readonly List<DeviceOptions> _plugged = [];

    private Task _disksClosed = Task.CompletedTask;
    private VirtualMachine? _machine;
    private MachineOptions? _description;
    private MachineStatus _status;
    private MachineExit? _exit;
    private bool _endRequested;
    private Thread? _runner;
    private bool _bootedBefore;
    private int _resizing;

    /// <summary>Makes a controller without a machine.</summary>
    /// <param name="options">How it runs machines.</param>
    public MachineController(ControllerOptions? options = null)
    {
        _options = options ?? new ControllerOptions();
    }

    /// <summary>The machine as it is now. Never waits for a command.</summary>
    public MachineInfo Info
    {
        get
        {
            lock (_sight)
            {
                return new MachineInfo(_status, _description, _machine?.Devices ?? []);
            }
        }
    }

    /// <summary>Carries out commands on the calling thread until the controller ends.</summary>
    /// <returns>How the last machine ended.</returns>
    /// <exception cref="MachineException">After a reset the host could not give something.</exception>
    /// <exception cref="InvalidOperationException">It has run before.</exception>
    public MachineExit Run()
    {
        if (Interlocked.Exchange(ref _runner, Thread.CurrentThread) is not null)
        {
            throw new InvalidOperationException("a controller runs once, and not after its disposal");
        }

        Tell("vmm", "starting");
        try
        {
            foreach (Action command in _commands.GetConsumingEnumerable())
            {
                command();
                if (_exit is { } exit)
                {
                    return exit;
                }
            }
        }
        finally
        {
            Close();
        }

        return _exit ?? new MachineExit(MachineExitReason.Stopped);
    }

    /// <summary>Ends the machine, if there is one, and the controller. Returns at once; from any thread, again and again.</summary>
    public void RequestEnd()
    {
        Volatile.Write(ref _endRequested, true);

        // A command that waits for the guest waits no longer.
        lock (_sight)
        {
            _machine?.RequestStop();
        }

        _ = TryPost(() => _exit ??= new MachineExit(MachineExitReason.Stopped));
    }

    /// <summary>Presses the power button of the running guest; returns at once. Does nothing where none runs.</summary>
    /// <returns>False if no guest runs.</returns>
    public bool TryPressPowerButton()
    {
        lock (_sight)
        {
            if (_machine is null || _status != MachineStatus.Running)
            {
                return false;
            }

            _machine.PressPowerButton();
            return true;
        }
    }

    /// <summary>The devices of the machine that is there, as a tree; see <see cref="VirtualMachine.Inspect"/>. Never waits for a command.</summary>
    /// <exception cref="ControlException">No machine runs.</exception>
    public InspectionNode Inspect() => Look(static machine => machine.Inspect());

    /// <summary>Looks at the machine that runs or is paused; it is not disposed meanwhile. Never waits for a command.</summary>
    /// <typeparam name="T">Of the answer.</typeparam>
    /// <param name="look">Looks: not for long, and without waiting for anything.</param>
    /// <exception cref="ControlException">No machine runs.</exception>
    public T Look<T>(Func<VirtualMachine, T> look)
    {
        ArgumentNullException.ThrowIfNull(look);
        lock (_sight)
        {
            return look(_machine ?? throw NotRunning());
        }
    }

    /// <summary>Ends the controller, and waits for the thread in <see cref="Run"/> if that is another one.</summary>
    public void Dispose()
    {
        RequestEnd();
        Thread? runner = Interlocked.CompareExchange(ref _runner, Thread.CurrentThread, null);
        if (runner is null)
        {
            // Never run.
            Close();
        }
        else if (runner != Thread.CurrentThread)
        {
            _over.Wait();
        }
    }

    private static ControlException NotCreated() => new(ControlError.NotCreated, "there is no VM: create one first");

    private ControlException NotRunning()
    {
        return _status == MachineStatus.None ? NotCreated() : new ControlException(ControlError.WrongState, $"the VM is {Word(_status)}, not running");
    }

    private static string Word(MachineStatus status) => status switch
    {
        MachineStatus.Created => "created and not booted",
        MachineStatus.Running => "running",
        MachineStatus.Paused => "paused",
        MachineStatus.Shutdown => "shut down",
        _ => "not there",
    };

    private void Tell(string source, string name) => _options.OnEvent?.Invoke(new MachineEvent(source, name));

    /// <summary>Has a command carried out on the thread in <see cref="Run"/>.</summary>
    private Task<T> Command<T>(Func<T> command)
    {
        var done = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        bool posted = TryPost(() =>
        {
            try
            {
                if (Volatile.Read(ref _endRequested))
                {
                    throw Ending();
                }

                done.SetResult(command());
            }
            catch (Exception failure)
            {
                done.SetException(Explain(failure));
            }
        });
        if (!posted)
        {
            done.SetException(Ending());
        }

        return done.Task;
    }

    private static ControlException Ending() => new(ControlError.WrongState, "the VMM is about to end");

    private static Exception Explain(Exception failure) => failure switch
    {
        ControlException => failure,
        MachineException => new ControlException(ControlError.HostFailed, failure.Message, failure),
        ArgumentException { ParamName: { } name } => new ControlException(
            ControlError.BadRequest, failure.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal), failure),
        ArgumentException => new ControlException(ControlError.BadRequest, failure.Message, failure),
        InvalidOperationException => new ControlException(ControlError.Conflict, failure.Message, failure),
        _ => failure,
    };

    private bool TryPost(Action command)
    {
        try
        {
            return _commands.TryAdd(command);
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private void Close()
    {
        _commands.CompleteAdding();
        _endRequested = true;
        try
        {
            if (EndMachine(MachineStatus.Shutdown) is not null)
            {
                Tell("vm", "shutdown");
            }
        }
        finally
        {
            Forget();
            _exit ??= new MachineExit(MachineExitReason.Stopped);
            while (_commands.TryTake(out Action? late))
            {
                late();
            }

            Tell("vmm", "shutdown");
            _over.Set();
        }
    }

    /// <summary>Publishes another state.</summary>
    private void Become(MachineStatus status)
    {
        lock (_sight)
        {
            _status = status;
        }
    }

    /// <summary>Makes and starts the machine that is described, with the devices that were in slots when the last one ended.</summary>
    private void Start(IReadOnlyList<DeviceOptions> plugged)
    {
        AwaitDisks();
        MachineOptions options = _options.Prepare(_description!) with { OnEvent = _options.OnEvent };

        // Files that were written before keep what they hold.
        options = _bootedBefore ? options with { AppendOutput = true } : options;
        var machine = VirtualMachine.Create(options);
        try
        {
            foreach (DeviceOptions device in plugged)
            {
                machine.HotAdd(device);
            }

            _bootedBefore = true;
            lock (_sight)
            {
                _machine = machine;
            }

            if (Volatile.Read(ref _endRequested))
            {
                machine.RequestStop();
            }

            machine.Start();
            Become(MachineStatus.Running);
        }
        catch
        {
            lock (_sight)
            {
                _machine = null;
            }

            machine.Dispose();
            throw;
        }

        // Never on this stack, and on none that has to go on.
        machine.VcpusEnded.ContinueWith(
            _ => TryPost(() => OnEnded(machine)), CancellationToken.None, TaskContinuationOptions.DenyChildAttach, TaskScheduler.Default);
    }

    /// <summary>
    /// Waits until the disks of the last machine have let go of their files: a request in flight, or the last flush, may take longer than the machine's
    /// end. Not beyond the limit, and not if the end is asked for.
    /// </summary>
    private void AwaitDisks()
    {
        long start = Stopwatch.GetTimestamp();
        while (!_disksClosed.Wait(50) && Stopwatch.GetElapsedTime(start) < DiskLimit)
        {
            if (Volatile.Read(ref _endRequested))
            {
                throw Ending();
            }
        }
    }

    /// <summary>Stops the machine, if there is one, and gives everything back, with the devices that were added to it.</summary>
    /// <returns>How it ended; null if there was none.</returns>
    private MachineExit? EndMachine(MachineStatus next)
    {
        MachineExit? exit = StopMachine(next);
        _plugged.ForEach(Release);
        _plugged.Clear();
        return exit;
    }

    private MachineExit? StopMachine(MachineStatus next)
    {
        VirtualMachine? machine;
        lock (_sight)
        {
            (machine, _machine) = (_machine, null);
            _status = next;
        }

        if (machine is null)
        {
            return null;
        }

        try
        {
            machine.RequestStop();
            return machine.WaitForExit();
        }
        finally
        {
            try
            {
                machine.Dispose();
            }
            finally
            {
                _disksClosed = machine.DisksClosed;
            }
        }
    }

    /// <summary>All vCPUs of a machine have ended by themselves.</summary>
    private void OnEnded(VirtualMachine machine)
    {
        if (_machine != machine)
        {
            return;
        }

        MachineExitReason reason = machine.WaitForExit().Reason;
        if (reason == MachineExitReason.Reset && _options.RestartOnReset && !Volatile.Read(ref _endRequested))
        {
            Restart();
            return;
        }

        if (reason == MachineExitReason.GuestDied)
        {
            Tell("guest", "panic");
        }

        _exit = EndMachine(MachineStatus.Shutdown);
        Tell("vm", "shutdown");
    }

    private void Restart()
    {
        Tell("vm", "rebooting");
        DeviceOptions[] plugged = [.. _machine!.PluggedDevices.Select(static device => device.Options)];
        string[] askedBack = [.. _machine!.DevicesInSlots.Select(static device => device.Id).Except(plugged.Select(static device => device.Id!))];
        StopMachine(MachineStatus.Shutdown);
        foreach (string id in askedBack)
        {
            // The guest was asked for it, and has let go of everything.
            _options.OnEvent?.Invoke(MachineEvent.Of("vm", "device-removed", id));
        }

        try
        {
            Start(plugged);
        }
        catch
        {
            EndMachine(MachineStatus.Shutdown);
            Tell("vm", "shutdown");
            throw;
        }

        Tell("vm", "rebooted");
    }
}
