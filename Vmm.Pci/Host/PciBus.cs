using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.Pci.Bars;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Host;

/// <summary>A PCI bus: up to 256 functions, their configuration space, and what they are wired to.</summary>
/// <remarks>
/// Look-up is one array read without a lock. <see cref="Add"/>, <see cref="Remove"/> and <see cref="AssignResources"/> take the topology lock of
/// the host bridge and must not be called from inside an access. Lock order: the topology lock, then the mapping lock; both are shared by
/// all buses below one host bridge. A bus behind a bridge is wired to what the bridge's bus is wired to.
/// </remarks>
public sealed class PciBus : IFunctionBus
{
    private readonly BusSlots _slots = new();
    private readonly PciFunction?[] _functions;
    private readonly int _number;
    private PciBusOptions? _options;

    /// <summary>Makes an empty bus.</summary>
    /// <param name="number">Bus number, 0 to 255.</param>
    /// <param name="options">What it is wired to.</param>
    public PciBus(int number, PciBusOptions options)
        : this()
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 255u, nameof(number));
        _number = number;
        _options = options;
        Logger = GuardedLogger.Create<PciBus>(options.LoggerFactory);
    }

    /// <summary>Makes the bus behind a bridge.</summary>
    internal PciBus(PciBridge bridge)
        : this()
    {
        Bridge = bridge;
    }

    private PciBus()
    {
        _functions = _slots.Places;
        Decoding = new BusDecoding(this);
        Wiring = new IntxWiring(this);
        Resources = new BusResources(this);
    }

    /// <summary>Bus number; behind a bridge, what the guest wrote there.</summary>
    public int Number => Bridge?.SecondaryBusNumber ?? _number;

    /// <summary>The bridge that the bus is behind, or null for a root bus.</summary>
    public PciBridge? Bridge { get; }

    /// <summary>True for the bus below the host bridge.</summary>
    public bool IsRoot => Bridge is null;

    /// <summary>Where memory BARs decode.</summary>
    public AddressSpace Memory => Options.Memory;

    /// <summary>Where I/O BARs decode, or null.</summary>
    public AddressSpace? Ports => Options.Ports;

    /// <summary>Ranges of the host bridge that reach its root bus; empty if everything does.</summary>
    public IReadOnlyList<PciWindow> Windows => Options.Windows;

    /// <summary>Takes message-signalled interrupts, or null.</summary>
    public IMsiSink? MsiSink => Options.MsiSink;

    /// <summary>Delivers eventfds, or null.</summary>
    public IIrqRouting? IrqRouting => Options.IrqRouting;

    /// <summary>Which wire a pin on the root bus drives.</summary>
    public PciInterruptRouting InterruptRouting => Options.InterruptRouting;

    /// <summary>Which wire a pin behind a root port drives, by the port's device number.</summary>
    public PciInterruptRouting PortInterruptRouting => Options.PortInterruptRouting ?? Options.InterruptRouting;

    /// <summary>True if the hypervisor tells eventfds of the guest's end-of-interrupt: what a real device's INTx needs.</summary>
    public bool HasResampledLines => Options.InterruptLines is IResampledLines;

    /// <summary>The functions on the bus, by device and function number.</summary>
    public IEnumerable<PciFunction> Functions => _slots.Functions;

    /// <summary>How many BARs, windows and buses a reset found no room for.</summary>
    public long UnplacedRanges => Resources.Unplaced;

    internal ILogger Logger { get; private set; } = NullLogger.Instance;

    internal PciHierarchy Hierarchy { get; private set; } = new();

    /// <summary>The bus that the bridge is on, or null for a root bus and while the bridge is on none.</summary>
    internal PciBus? Parent { get; private set; }

    /// <summary>The wires that pins drive, or null.</summary>
    internal IInterruptLines? InterruptLines => Options.InterruptLines;

    /// <summary>Where BARs of the functions decode.</summary>
    internal BusDecoding Decoding { get; }

    /// <summary>Where the pins of the functions lead.</summary>
    internal IntxWiring Wiring { get; }

    /// <summary>The part of firmware: numbers and addresses for the bus.</summary>
    internal BusResources Resources { get; }

    /// <summary>The bridges on the bus.</summary>
    internal PciBridge[] Bridges => _slots.Bridges;

    ILogger IFunctionBus.Logger => Logger;

    IBarRoute IFunctionBus.Route => Decoding;

    bool IFunctionBus.ForwardsUpstream => Bridge is null || (Bridge.IsForwarding && Bridge.IsBusMaster);

    private PciBusOptions Options =>
        _options ?? throw new InvalidOperationException($"{Bridge!.Name}: the bridge is on no bus, so nothing is behind it yet");

    /// <summary>The function with a number, or null.</summary>
    /// <param name="deviceFunction">device &lt;&lt; 3 | function, 0 to 255.</param>
    public PciFunction? Find(int deviceFunction) => Volatile.Read(ref _functions[deviceFunction & 0xff]);

    /// <summary>Puts a function on the bus; a guest sees it from now on.</summary>
    /// <param name="function">A function of no bus.</param>
    /// <param name="device">Device number, 0 to 31.</param>
    /// <param name="functionNumber">Function number, 0 to 7; function 0 comes first.</param>
    /// <exception cref="ArgumentException">The place is taken, function 0 is missing, or the function's layout contradicts itself.</exception>
    /// <exception cref="ObjectDisposedException">The host bridge is disposed.</exception>
    public void Add(PciFunction function, int device, int functionNumber = 0)
    {
        ArgumentNullException.ThrowIfNull(function);
        lock (Hierarchy.Topology)
        {
            _ = Options;
            ObjectDisposedException.ThrowIf(Hierarchy.IsClosed, typeof(PciHostBridge));
            Bridge?.CheckPlace(device);
            var address = new PciAddress(Number, device, functionNumber);
            if (function.Bus is not null)
            {
                throw new ArgumentException($"{function.Name} is on a bus already, at {function.Address}", nameof(function));
            }

            if (_functions[address.DeviceFunction] is { } other)
            {
                throw new ArgumentException($"{address} is taken by {other.Name}", nameof(device));
            }

            if (functionNumber != 0 && _functions[device << 3] is null)
            {
                throw new ArgumentException($"{address}: a device's function 0 is added before its others", nameof(functionNumber));
            }

            Join(function, address);
            _slots.Set(address, function);
            function.Renumber();
            function.Appeared();
            Bridge?.SecondaryChanged();
        }
    }

    /// <inheritdoc/>
    public void Remove(PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        TakeOff(function);
        function.EndLeaving();
    }

    /// <summary>As <see cref="Remove"/>, without what may take long (<see cref="PciFunction.EndLeaving"/>).</summary>
    internal void TakeOff(PciFunction function)
    {
        lock (Hierarchy.Topology)
        {
            if (function.Bus != this)
            {
                throw new ArgumentException($"{function.Name} is not on bus {Number}", nameof(function));
            }

            if (_slots.WhatGoesFirst(function) is { } reason)
            {
                throw new ArgumentException(reason, nameof(function));
            }

            Memory.Domain.ThrowIfInside();
            Ports?.Domain.ThrowIfInside();
            _slots.Set(function.Address, null);

            // Configuration accesses that found the function before have ended after this, or are counted as waiting.
            Memory.Domain.Synchronize();
            if (Ports is { } ports && ports.Domain != Memory.Domain)
            {
                ports.Domain.Synchronize();
            }

            function.Detach();
            (function as PciBridge)?.Secondary.Disconnect();
            Resources.Free(function);
            Bridge?.SecondaryChanged();
        }
    }

    /// <summary>
    /// Resets every function, as a reset of the machine does, and programs what firmware had programmed. What was added since and has no room is
    /// left without an address, so it does not decode; that is counted (<see cref="UnplacedRanges"/>) and logged.
    /// </summary>
    public void Reset()
    {
        ResetFunctions();
        lock (Hierarchy.Topology)
        {
            Resources.Restore();
        }
    }

    /// <summary>
    /// Does what firmware does, on this root bus and behind its bridges: buses are numbered, bridges get windows for what is behind them (at
    /// least what their options ask for), every BAR gets an address (and keeps it when this is called again, as after a reset), and
    /// the Interrupt Line register the GSI of the pin. Decoding is left to the guest.
    /// </summary>
    /// <exception cref="PciResourceException">A window has no room, or there are more than 256 buses; what was assigned before stays.</exception>
    /// <exception cref="InvalidOperationException">The bus is behind a bridge.</exception>
    public void AssignResources()
    {
        if (Bridge is not null)
        {
            throw new InvalidOperationException("resources are assigned from the root bus");
        }

        lock (Hierarchy.Topology)
        {
            Resources.Assign();
        }
    }

    void IFunctionBus.RemoveForDisposal(PciFunction function)
    {
        lock (Hierarchy.Topology)
        {
            if (function.Bus == this)
            {
                if (_slots.WhatGoesFirst(function) is { } reason)
                {
                    throw new InvalidOperationException(reason);
                }

                TakeOff(function);
            }
        }
    }

    /// <summary>Resets every function and what is behind the bridges among them, and programs nothing.</summary>
    internal void ResetFunctions()
    {
        foreach (PciFunction? function in Functions.ToList())
        {
            function.Reset();
        }
    }

    /// <summary>The bridge joins a bus.</summary>
    private void Connect(PciBus parent)
    {
        Parent = parent;
        _options = parent.Options;
        Hierarchy = parent.Hierarchy;
        Logger = parent.Logger;
    }

    /// <summary>The bridge left its bus; nothing is behind it.</summary>
    private void Disconnect()
    {
        Parent = null;
        _options = null;
        Hierarchy = new PciHierarchy();
    }

    /// <summary>The bus number changed: the functions on the bus have other addresses.</summary>
    internal void Renumber()
    {
        foreach (PciFunction function in Functions)
        {
            function.Renumber();
        }
    }

    /// <summary>The functions on the bus and behind its bridges.</summary>
    internal List<PciFunction> CollectBelow()
    {
        var functions = new List<PciFunction>();
        foreach (PciFunction function in Functions)
        {
            functions.Add(function);
            if (function is PciBridge bridge)
            {
                functions.AddRange(bridge.Secondary.CollectBelow());
            }
        }

        return functions;
    }

    /// <inheritdoc/>
    public void RunAfterAccess(Action effect)
    {
        if (Ports is { } ports && ports.Domain != Memory.Domain && ports.Domain.IsInside)
        {
            RunAfterBoth(ports, effect);
            return;
        }

        Memory.Domain.RunAfterAccess(effect);
    }

    // Spaces with a domain each: the effect waits for the readers of both.
    private void RunAfterBoth(AddressSpace ports, Action effect) => ports.Domain.RunAfterAccess(() => Memory.Domain.RunAfterAccess(effect));

    /// <inheritdoc/>
    public IDisposable? ConnectPin(PciFunction function, EventFd source, EventFd resample)
    {
        ArgumentNullException.ThrowIfNull(function);
        return Wiring.Connect(function.Address.Device, function.Intx.Pin, source, resample);
    }

    private void Join(PciFunction function, PciAddress address)
    {
        PciBus? secondary = (function as PciBridge)?.Secondary;
        secondary?.Connect(this);
        try
        {
            function.Attach(this, address, Wiring.CreateSource(address.Device, function.Intx.Pin));
        }
        catch
        {
            secondary?.Disconnect();
            throw;
        }
    }
}
