using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;

namespace Vmm.Machine.Catalogue;

/// <summary>The place in a machine that a device is made for: its name, and what it may use of the machine. Thread-safe.</summary>
public sealed class DeviceContext
{
    /// <summary>A place in no machine, as tests of a kind need it.</summary>
    /// <param name="id">The device's id.</param>
    /// <param name="memory">The guest memory that it masters.</param>
    /// <param name="hypervisor">The hypervisor, or null.</param>
    /// <param name="loggerFactory">Where it logs; nothing is logged without it.</param>
    public DeviceContext(string id, GuestMemory memory, IHypervisor? hypervisor = null, ILoggerFactory? loggerFactory = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(id);
        ArgumentNullException.ThrowIfNull(memory);
        (Id, Memory, Hypervisor, LoggerFactory) = (id, memory, hypervisor, loggerFactory);
    }

    /// <summary>The device's id.</summary>
    public string Id { get; }

    /// <summary>The machine's RAM.</summary>
    public GuestMemory Memory { get; }

    /// <summary>The hypervisor; null for a machine that does not run.</summary>
    public IHypervisor? Hypervisor { get; }

    /// <summary>Where the device logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; }

    /// <summary>The machine's time: clocks and timers that a guest can tell come from it. Timers call back on a thread of the pool.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Files that output goes to keep what they hold; otherwise they are emptied.</summary>
    public bool AppendOutput { get; internal init; }

    /// <summary>Called when Ctrl-A x is typed on the terminal; without it every character reaches the guest.</summary>
    public Action? Escape { get; internal init; }

    /// <summary>The functions that the machine has now.</summary>
    public IReadOnlyList<PciFunction> Functions => GetFunctions?.Invoke() ?? [];

    /// <summary>Lists the machine's functions.</summary>
    internal Func<IReadOnlyList<PciFunction>>? GetFunctions { get; init; }

    /// <summary>Ends the machine; the word is the reason.</summary>
    internal Action<string>? Stop { get; init; }

    /// <summary>Takes a device from the guest.</summary>
    internal Action<PciFunction>? Remove { get; init; }

    /// <summary>The parts that the machine's devices share.</summary>
    internal SharedParts Shared { get; init; } = new();

    /// <summary>Guest memory as the function reaches it; no two functions share one.</summary>
    public DmaTarget CreateDmaTarget() => new(Memory);

    /// <summary>A log that never throws; it keeps nothing where there is no factory.</summary>
    /// <param name="category">Its category.</param>
    public ILogger CreateLogger(string category) => GuardedLogger.Create(LoggerFactory, category);

    /// <summary>The object of a type that all devices of the machine share: made for the first that asks, disposed after the last device.</summary>
    /// <typeparam name="T">Its type.</typeparam>
    /// <param name="create">Makes it; not to ask for another.</param>
    public T Share<T>(Func<T> create)
        where T : class
    {
        ArgumentNullException.ThrowIfNull(create);
        return Shared.Get(create);
    }

    /// <summary>Ends the machine as by a failure of the host. Returns at once; callable from any thread, inside a guest's access too.</summary>
    /// <param name="reason">One line that names the device.</param>
    public void StopMachine(string reason) => Stop?.Invoke(reason);

    /// <summary>
    /// Has the machine take a device from the guest by surprise and dispose it, on another thread: the host wants it back. Callable from the device's
    /// own threads, again and again.
    /// </summary>
    /// <param name="function">The device that was made in this place.</param>
    public void RequestRemoval(PciFunction function) => Remove?.Invoke(function);
}
