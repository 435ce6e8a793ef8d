using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;

namespace Vmm.Machine;

/// <summary>The root ports of a machine, and the functions that were put into their slots while it runs.</summary>
/// <remarks>
/// What is in a slot belongs to the machine. Thread-safe; not to be called from inside a guest's access. Lock order: the slots' lock, then the
/// locks of the PCI hierarchy. A slot is free for the next function when everything of the last one is gone, not already when it is off the bus.
/// </remarks>
internal sealed class MachineSlots : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<string, Slot> _slots = [];
    private readonly List<PciRootPort> _ports = [];
    private bool _closed;

    /// <summary>Makes the ports and puts them on the root bus, a device number each.</summary>
    /// <param name="options">The ports.</param>
    /// <param name="root">The root bus.</param>
    /// <param name="firstDevice">Device number of the first one.</param>
    /// <exception cref="MachineException">Two have the same name or slot number.</exception>
    public MachineSlots(IReadOnlyList<PciRootPortOptions> options, PciBus root, int firstDevice)
    {
        CheckDistinct(options);
        foreach (PciRootPortOptions port in options)
        {
            var function = new PciRootPort(port);
            root.Add(function, firstDevice + _ports.Count);
            _ports.Add(function);
            _slots.Add(port.Name, new Slot(function));
        }
    }

    /// <summary>The ports in order.</summary>
    public IReadOnlyList<PciRootPort> Ports => _ports;

    /// <summary>Puts a function into a slot and owns it, unless this throws.</summary>
    public void Add(string port, PciFunction function)
    {
        Slot slot = Find(port);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (slot.Removal is not null)
            {
                throw new InvalidOperationException($"{port}: the last device is not all gone yet");
            }

            slot.Port.HotAdd(function);
        }
    }

    /// <summary>Takes the device out of a slot and disposes its functions.</summary>
    /// <returns>Completes when they are disposed.</returns>
    public Task RemoveAsync(string port, SlotRemoval removal)
    {
        Slot slot = Find(port);
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            return Remove(slot, removal);
        }
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
            foreach (Slot slot in _slots.Values.Where(static slot => slot.Removal is not null || slot.Port.Secondary.Functions.Any()))
            {
                removals.Add(Remove(slot, SlotRemoval.Surprise));
            }
        }

        Task.WaitAll(removals);
        foreach (PciRootPort port in Enumerable.Reverse(_ports))
        {
            port.Dispose();
        }
    }

    private static void CheckDistinct(IReadOnlyList<PciRootPortOptions> options)
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

    private Slot Find(string port)
    {
        ArgumentNullException.ThrowIfNull(port);
        return _slots.TryGetValue(port, out Slot? slot) ? slot : throw new ArgumentException($"the machine has no root port {port}", nameof(port));
    }

    private Task Remove(Slot slot, SlotRemoval removal)
    {
        if (slot.Removal is null)
        {
            PciFunction[] functions = [.. slot.Port.Secondary.Functions.Reverse()];
            slot.Removal = FinishAsync(slot, functions, slot.Port.HotRemove(removal));
        }
        else if (removal == SlotRemoval.Surprise)
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

        return slot.Removal;
    }

    private async Task FinishAsync(Slot slot, PciFunction[] functions, Task released)
    {
        // Never on this stack: the caller holds the lock.
        await released.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            foreach (PciFunction function in functions)
            {
                function.Dispose();
            }
        }
        finally
        {
            lock (_lock)
            {
                slot.Removal = null;
            }
        }
    }

    private sealed class Slot(PciRootPort port)
    {
        public PciRootPort Port { get; } = port;

        public Task? Removal { get; set; }
    }
}
