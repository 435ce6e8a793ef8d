using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;

namespace Vmm.Machine.Control;

/// <content>The commands. Each task fails with a <see cref="ControlException"/> if the command was not carried out.</content>
public sealed partial class MachineController
{
    /// <summary>Describes the machine; nothing of it is made yet.</summary>
    /// <param name="options">The description.</param>
    public Task CreateAsync(MachineOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return Command(() =>
        {
            if (_status != MachineStatus.None)
            {
                throw new ControlException(ControlError.Conflict, "there is a VM already: delete it first");
            }

            _ = NameDevices(options);
            lock (_sight)
            {
                (_description, _status) = (options, MachineStatus.Created);
            }

            _bootedBefore = false;
            return true;
        });
    }

    /// <summary>Makes the machine and starts its vCPUs.</summary>
    public Task BootAsync() => Command(() =>
    {
        Require(MachineStatus.Created, MachineStatus.Shutdown);
        if (_description!.KernelPath.Length == 0)
        {
            throw new ControlException(ControlError.BadRequest, "the VM has no kernel to boot");
        }

        Tell("vm", "booting");
        MachineOptions opened = _terminals.Open(_description);
        lock (_sight)
        {
            _description = opened;
        }

        Start([]);
        Tell("vm", "booted");
        return true;
    });

    /// <summary>Ends the machine as if its plug was pulled after a flush, and keeps its description.</summary>
    public Task ShutDownAsync() => Command(() =>
    {
        Require(MachineStatus.Running, MachineStatus.Paused);
        EndMachine(MachineStatus.Shutdown);
        Tell("vm", "shutdown");
        return true;
    });

    /// <summary>Ends the machine and forgets its description.</summary>
    public Task DeleteAsync() => Command(() =>
    {
        if (_status == MachineStatus.None)
        {
            throw NotCreated();
        }

        if (EndMachine(MachineStatus.Shutdown) is not null)
        {
            Tell("vm", "shutdown");
        }

        MachineOptions deleted = _description!;
        lock (_sight)
        {
            (_description, _status) = (null, MachineStatus.None);
        }

        foreach (DeviceOptions device in deleted.Devices)
        {
            Release(device);
        }

        _terminals.Dispose();
        Tell("vm", "deleted");
        return true;
    });

    /// <summary>Ends the machine and starts it anew, with the devices that were added to it.</summary>
    public Task RebootAsync() => Command(() =>
    {
        Require(MachineStatus.Running, MachineStatus.Paused);
        Restart();
        return true;
    });

    /// <summary>Has the guest stand still. Where somebody cannot be waited for, it goes on, and the message names who that was.</summary>
    public Task PauseAsync() => Command(() =>
    {
        Require(MachineStatus.Running);
        Tell("vm", "pausing");
        if (!_machine!.TryPause(_options.PauseLimit, out string? reason))
        {
            throw new ControlException(ControlError.HostFailed, $"the VM goes on: {reason}");
        }

        Become(MachineStatus.Paused);
        Tell("vm", "paused");
        return true;
    });

    /// <summary>Lets a paused guest go on.</summary>
    public Task ResumeAsync() => Command(() =>
    {
        Require(MachineStatus.Paused);
        Tell("vm", "resuming");
        _machine!.Resume();
        Become(MachineStatus.Running);
        Tell("vm", "resumed");
        return true;
    });

    /// <summary>Presses the power button; the guest does what it likes about it.</summary>
    public Task PressPowerButtonAsync() => Command(() =>
    {
        Require(MachineStatus.Running);
        _machine!.PressPowerButton();
        return true;
    });

    /// <summary>Gives every vCPU a non-maskable interrupt.</summary>
    public Task InjectNmiAsync() => Command(() =>
    {
        Require(MachineStatus.Running);
        _machine!.InjectNmi();
        return true;
    });

    /// <summary>Adds a device: to the description of a machine that does not run, otherwise into the empty slot of a root port.</summary>
    /// <param name="device">The device.</param>
    public Task<AddedDevice> AddDeviceAsync(DeviceOptions device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return Command(() =>
        {
            MachineOptions description = _description ?? throw NotCreated();
            if (device.Id is { } wanted && IsTaken(wanted))
            {
                throw new ControlException(ControlError.Conflict, $"there is a device or a root port with the id {wanted} already");
            }

            if (_machine is not { } machine)
            {
                MachineOptions more = description with { Devices = [.. description.Devices, device] };
                string cold = NameDevices(more)[^1];
                lock (_sight)
                {
                    // The others keep the ids that they have.
                    _description = more with { Devices = [.. description.Devices, device with { Id = cold }] };
                }

                return new AddedDevice(cold, null);
            }

            string id = machine.HotAdd(device);
            _plugged.Add(device);
            string address = machine.Devices.First(other => other.Id == id).Function.Address.ToString();
            return new AddedDevice(id, address);
        });
    }

    /// <summary>
    /// Takes a device out of a machine: out of its description, or orderly out of its slot. Completes when the device is gone and its id is free; a
    /// guest may take its time, or never let go.
    /// </summary>
    /// <param name="id">The device.</param>
    /// <param name="cancellationToken">Ends the waiting, not the removal.</param>
    public async Task RemoveDeviceAsync(string id, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(id);
        Task? removal = await Command(() => BeginRemoval(id)).ConfigureAwait(false);
        if (removal is null)
        {
            return;
        }

        try
        {
            await removal.WaitAsync(cancellationToken).ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // The machine has ended, and the device with it.
        }
    }

    /// <summary>Gives a disk another size and tells the guest.</summary>
    /// <param name="id">The disk.</param>
    /// <param name="size">Bytes.</param>
    public Task ResizeDiskAsync(string id, long size) => Command(() =>
    {
        Require(MachineStatus.Running, MachineStatus.Paused);
        _machine!.ResizeDisk(id, size);
        return true;
    });

    /// <returns>The removal that goes on; null if the device was only in the description.</returns>
    private Task? BeginRemoval(string id)
    {
        MachineOptions description = _description ?? throw NotCreated();
        if (_machine is { } machine)
        {
            try
            {
                MachineDevice? device = machine.Devices.FirstOrDefault(device => device.Id == id);
                Task removal = machine.HotRemoveAsync(id);
                removal.ContinueWith(
                    _ => TryPost(() => ReleasePlugged(device!.Options)), CancellationToken.None,
                    TaskContinuationOptions.OnlyOnRanToCompletion | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                return removal;
            }
            catch (ArgumentException)
            {
                throw NoDevice(id);
            }
        }

        DeviceOptions removed = description.Devices.FirstOrDefault(device => device.Id == id) ?? throw NoDevice(id);
        lock (_sight)
        {
            _description = description with { Devices = [.. description.Devices.Where(device => device != removed)] };
        }

        Release(removed);
        return null;
    }

    private static ControlException NoDevice(string id) => new(ControlError.BadRequest, $"the VM has no device {id}");

    private void Require(params ReadOnlySpan<MachineStatus> wanted)
    {
        if (_status == MachineStatus.None)
        {
            throw NotCreated();
        }

        if (!wanted.Contains(_status))
        {
            throw new ControlException(ControlError.WrongState, $"the VM is {Word(_status)}");
        }
    }

    private bool IsTaken(string id)
    {
        return _description!.RootPorts.Any(port => port.Name == id)
            || (_machine is { } machine ? machine.Devices.Any(device => device.Id == id) : NameDevices(_description).Contains(id));
    }

    /// <summary>The ids that the devices of a description have or get.</summary>
    private static string[] NameDevices(MachineOptions options)
    {
        try
        {
            return [.. options.NameDevices().Select(static device => device.Id!)];
        }
        catch (MachineException e)
        {
            throw new ControlException(ControlError.Conflict, e.Message, e);
        }
    }

    /// <summary>Gives back what the options of a device hold: a network card's taps that were handed over open.</summary>
    private static void Release(DeviceOptions device)
    {
        foreach (SafeFileHandle descriptor in (device as NetOptions)?.Descriptors ?? [])
        {
            descriptor.Dispose();
        }
    }

    /// <summary>Gives back what a device holds that was added while the machine ran, and is gone. The machine knows it under an id that it may not have had.</summary>
    private void ReleasePlugged(DeviceOptions gone)
    {
        if (_plugged.Find(device => device with { Id = gone.Id } == gone) is { } device)
        {
            _plugged.Remove(device);
            Release(device);
        }
    }
}
