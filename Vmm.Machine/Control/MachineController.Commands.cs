using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Win32.SafeHandles;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Machine.Layout;

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

            MachineOptions named = options with { Devices = NameDevices(options) };
            lock (_sight)
            {
                (_description, _status) = (named, MachineStatus.Created);
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

        Forget();
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

        if (_machine.IsStopping)
        {
            // A guest that has reset or powered off has no vCPU left to stand still.
            _machine.Resume();
            throw new ControlException(ControlError.WrongState, "the guest has ended itself");
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
                return AddToDescription(description, device);
            }

            string id = machine.HotAdd(device);
            _plugged.Add(device);
            return new AddedDevice(id, $"0000:{machine.Devices.First(other => other.Id == id).Function.Address}");
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

    /// <summary>Gives a disk another size and tells the guest. One at a time: a file system may take as long as it likes for it.</summary>
    /// <param name="id">The disk.</param>
    /// <param name="size">Bytes.</param>
    public async Task ResizeDiskAsync(string id, long size)
    {
        VirtualMachine machine = await Command(() =>
        {
            Require(MachineStatus.Running, MachineStatus.Paused);
            return _machine!;
        }).ConfigureAwait(false);
        if (Interlocked.Exchange(ref _resizing, 1) != 0)
        {
            throw new ControlException(ControlError.Conflict, "another disk is being resized");
        }

        try
        {
            // Not on the thread of the commands.
            await Task.Run(() => machine.ResizeDisk(id, size)).ConfigureAwait(false);
        }
        catch (ObjectDisposedException e)
        {
            throw new ControlException(ControlError.WrongState, "the VM has ended", e);
        }
        catch (Exception e) when (e is MachineException or ArgumentException)
        {
            throw Explain(e);
        }
        finally
        {
            Volatile.Write(ref _resizing, 0);
        }
    }

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

    /// <summary>The others keep their ids, and root ports that find no room any more go.</summary>
    private AddedDevice AddToDescription(MachineOptions description, DeviceOptions device)
    {
        if (description.Devices.Count == MachineLimits.Slots)
        {
            throw new ControlException(ControlError.Conflict, $"a VM has at most {MachineLimits.Slots} devices");
        }

        var ids = new DeviceIds();
        _ = ids.TakeAll(description.RootPorts.Select(static port => port.Name), description.Catalogue, description.Devices);
        string id = ids.Take(description.Catalogue.KindOf(device), device);
        lock (_sight)
        {
            _description = description with
            {
                Devices = [.. description.Devices, device with { Id = id }],
                RootPorts = [.. description.RootPorts.Take(MachineLimits.Slots - description.Devices.Count - 1)],
            };
        }

        return new AddedDevice(id, null);
    }

    /// <summary>Forgets the description, if there is one, and gives back what it holds.</summary>
    private void Forget()
    {
        MachineOptions? deleted = _description;
        lock (_sight)
        {
            (_description, _status) = (null, MachineStatus.None);
        }

        foreach (DeviceOptions device in deleted?.Devices ?? [])
        {
            Release(device);
        }

        _terminals.Dispose();
        if (deleted is not null)
        {
            Tell("vm", "deleted");
        }
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
            || (_machine is { } machine ? machine.Devices.Any(device => device.Id == id) : _description.Devices.Any(device => device.Id == id));
    }

    /// <summary>The devices of a description with the ids that they have or get.</summary>
    private static IReadOnlyList<DeviceOptions> NameDevices(MachineOptions options)
    {
        try
        {
            return options.NameDevices();
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
