using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Logging;
using Vmm.Machine.Host;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;

namespace Vmm.Machine;

/// <summary>The root ports of a machine, and the functions that were put into their slots while it runs.</summary>
/// <remarks>
/// The function in a slot belongs to the machine. Thread-safe; not to be called from inside a guest's access. Lock order: the gate of a slot, then
/// the slots' lock, which is a leaf; and under a gate the locks of the PCI hierarchy. A slot is
/// free for the next function when everything of the last one is gone, not already when it is off the bus.
/// </remarks>
internal sealed class MachineSlots : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Slot> _slots = [];
    private readonly ILogger _logger;
    private bool _closed;

    /// <summary>Makes the ports and puts them on the root bus, a device number each.</summary>
    /// <param name="options">The ports.</param>
    /// <param name="root">The root bus.</param>
    /// <param name="firstDevice">Device number of the first one.</param>
    /// <param name="logger">The machine's.</param>
    public MachineSlots(IReadOnlyList<PciRootPortOptions> options, PciBus root, int firstDevice, ILogger logger)
    {
        _logger = logger;
        foreach (PciRootPortOptions port in options)
        {
            var function = new PciRootPort(port);
            root.Add(function, firstDevice + _slots.Count);
            var slot = new Slot(port, function);
            function.RemovalRestored += removal => TakeUp(slot, removal);
            _slots.Add(slot);
        }

        Ports = [.. _slots.Select(static slot => slot.Port)];
    }

    /// <summary>The ports in order.</summary>
    public IReadOnlyList<PciRootPort> Ports { get; }

    /// <summary>The functions in the slots that nobody has asked for.</summary>
    public IReadOnlySet<PciFunction> Kept
    {
        get
        {
            lock (_lock)
            {
                return _slots.Where(static slot => slot.Function is not null && slot.OpenRemoval is null).Select(static slot => slot.Function!).ToHashSet();
            }
        }
    }

    /// <summary>Throws when the slots have been emptied for good.</summary>
    /// <exception cref="ObjectDisposedException">They have.</exception>
    public void ThrowIfClosed()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, typeof(VirtualMachine));
        }
    }

    /// <summary>Looks at ports before anything is made of them.</summary>
    /// <param name="options">The ports.</param>
    /// <exception cref="MachineException">Two have the same name or slot number.</exception>
    public static void Check(IReadOnlyList<PciRootPortOptions> options)
    {
        if (options.GroupBy(static port => port.Name).FirstOrDefault(static group => group.Count() > 1) is { } names)
        {
            throw new MachineException("root-port", names.Key, "two ports have this name");
        }

        if (options.GroupBy(static port => port.SlotNumber).FirstOrDefault(static group => group.Count() > 1) is { } numbers)
        {
            throw new MachineException("root-port", numbers.First().Name, $"two ports have slot number {numbers.Key}");
        }
    }

    /// <summary>Puts a function into a slot and owns it, unless this throws.</summary>
    /// <param name="port">Name of the port, or null for the first that is free.</param>
    /// <param name="function">The function.</param>
    /// <param name="released">Called when the function has been taken out again and disposed; not under a lock.</param>
    /// <returns>Name of the port.</returns>
    public string Add(string? port, PciFunction function, Action released)
    {
        Slot slot;
        lock (_lock)
        {
            ThrowIfClosed();
            slot = Find(port);
            if (slot.Removal is not null)
            {
                throw new InvalidOperationException($"{port}: the last device is not all gone yet");
            }

            if (slot.Function is { } present)
            {
                throw new InvalidOperationException($"{slot.Name}: the slot holds {present.Name}");
            }

            // A removal of this function comes after its addition. Not to be waited for here: whoever has it may want the lock.
            if (!slot.Gate.TryEnter())
            {
                throw new InvalidOperationException($"{slot.Name}: the last device is not all gone yet");
            }

            (slot.Function, slot.Released) = (function, released);
        }

        try
        {
            slot.Port.HotAdd(function);
            return slot.Name;
        }
        catch
        {
            lock (_lock)
            {
                (slot.Function, slot.Released) = (null, null);
            }

            throw;
        }
        finally
        {
            slot.Gate.Exit();
        }
    }

    /// <summary>Takes a function out of its slot and disposes it.</summary>
    /// <returns>Completes when it is disposed. Null if it is in no slot.</returns>
    public Task? RemoveAsync(PciFunction function, SlotRemoval removal)
    {
        Slot? slot;
        lock (_lock)
        {
            ThrowIfClosed();
            slot = _slots.Find(slot => slot.Function == function);
        }

        return slot is null ? null : Remove(slot, function, removal);
    }

    /// <summary>Empties the slots and takes the ports off the bus. The vCPUs have ended.</summary>
    public void Dispose()
    {
        List<Task> removals = [];
        lock (_lock)
        {
            if (_closed)
            {
                return;
            }

            _closed = true;
        }

        foreach (Slot slot in _slots)
        {
            if (slot.Function is { } function)
            {
                Attempt(() => removals.Add(Remove(slot, function, SlotRemoval.Surprise) ?? Task.CompletedTask));
            }
        }

        foreach (Task removal in removals)
        {
            Attempt(removal.Wait);
        }

        foreach (PciRootPort port in Ports.Reverse())
        {
            Attempt(port.Dispose);
        }
    }

    /// <summary>A step of the end: one that fails keeps no other device from its own.</summary>
    private void Attempt(Action step)
    {
        try
        {
            step();
        }
        catch (Exception failure)
        {
            _logger.RemovalFailed(failure.GetBaseException());
        }
    }

    private Slot Find(string? port)
    {
        return port is null
            ? _slots.Find(static slot => slot.IsFree) ?? throw new InvalidOperationException("no root port has an empty slot")
            : _slots.Find(slot => slot.Name == port) ?? throw new ArgumentException($"the machine has no root port {port}", nameof(port));
    }

    /// <returns>Null if the function has left the slot meanwhile.</returns>
    private Task? Remove(Slot slot, PciFunction function, SlotRemoval removal)
    {
        // A device takes its time to stop: the other slots do not wait for it.
        lock (slot.Gate)
        {
            Task? open;
            lock (_lock)
            {
                if (slot.Function != function)
                {
                    return null;
                }

                open = slot.OpenRemoval;
            }

            if (open is null)
            {
                Task released = slot.Port.HotRemove(removal);
                lock (_lock)
                {
                    // A state that was restored since may have brought the same one.
                    return slot.Asked == released ? slot.Removal : Finish(slot, released);
                }
            }

            if (removal == SlotRemoval.Surprise)
            {
                try
                {
                    // Completes the orderly one, whose task is the one to wait for.
                    _ = slot.Port.HotRemove(SlotRemoval.Surprise);
                }
                catch (InvalidOperationException) when (!slot.Port.IsOccupied)
                {
                    // The guest was quicker.
                }
            }

            return open;
        }
    }

    /// <summary>A removal that was open when the state was saved that the machine has now: it ends as if it had been asked for here.</summary>
    private void TakeUp(Slot slot, Task released)
    {
        lock (_lock)
        {
            if (!_closed && slot.Function is not null && slot.Asked != released)
            {
                _ = Finish(slot, released);
            }
        }
    }

    /// <summary>Disposes the function when the guest has let go of it. The lock is held, which the end takes too: it is known by then.</summary>
    private Task Finish(Slot slot, Task released)
    {
        slot.Asked = released;
        return slot.Removal = FinishAsync(slot, released);
    }

    private async Task FinishAsync(Slot slot, Task released)
    {
        // Never on this stack: the caller holds the lock.
        try
        {
            await released.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        }
        catch (OperationCanceledException)
        {
            // The device stays: a state was restored in which nobody had asked for it.
            lock (_lock)
            {
                if (slot.Asked == released)
                {
                    (slot.Asked, slot.Removal) = (null, null);
                }
            }

            throw;
        }

        Action? forget;
        try
        {
            slot.Function!.Dispose();
        }
        catch (Exception failure)
        {
            // Whoever asked may not wait for the end any more.
            _logger.RemovalFailed(failure);
            throw;
        }
        finally
        {
            lock (_lock)
            {
                forget = slot.Released;
                (slot.Function, slot.Released, slot.Asked, slot.Removal) = (null, null, null, null);
            }

            forget?.Invoke();
        }
    }

    /// <summary>A port's slot. Its function is there from the addition until it is disposed.</summary>
    private sealed class Slot(PciRootPortOptions options, PciRootPort port)
    {
        public string Name => options.Name;

        public PciRootPort Port { get; } = port;

        /// <summary>Held while the port adds or removes, which takes as long as the device does.</summary>
        public Lock Gate { get; } = new();

        public PciFunction? Function { get; set; }

        public Action? Released { get; set; }

        /// <summary>Completes when the guest has let go of the function; null if it was not asked to.</summary>
        public Task? Asked { get; set; }

        /// <summary>Completes when the function is disposed after that.</summary>
        public Task? Removal { get; set; }

        /// <summary>The removal that goes on; one that is cancelled does not, though it has not been noticed yet.</summary>
        public Task? OpenRemoval => Asked is { IsCanceled: false } ? Removal : null;

        public bool IsEmpty => Function is null;

        public bool IsFree => options.HotPlug && IsEmpty && !Port.Secondary.Functions.Any();
    }
}
