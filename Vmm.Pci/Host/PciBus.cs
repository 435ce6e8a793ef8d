using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Host;

/// <summary>A PCI bus: up to 256 functions, their configuration space, and what they are wired to.</summary>
/// <remarks>
/// Look-up is one array read without a lock. <see cref="Add"/>, <see cref="Remove"/> and <see cref="AssignResources"/> take the topology lock of
/// the host bridge and must not be called from inside an access. Lock order: the topology lock, then the mapping lock; both are shared by
/// all buses below one host bridge. A bus behind a bridge is wired to what the bridge's bus is wired to.
/// </remarks>
public sealed partial class PciBus
{
    private readonly PciFunction?[] _functions = new PciFunction?[256];
    private readonly Dictionary<int, SharedInterruptLine> _lines = [];
    private readonly int _number;
    private PciBusOptions? _options;
    private PciHierarchy _hierarchy = new();
    private PciBridge[] _bridges = [];

    /// <summary>Makes an empty bus.</summary>
    /// <param name="number">Bus number, 0 to 255.</param>
    /// <param name="options">What it is wired to.</param>
    public PciBus(int number, PciBusOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 255u, nameof(number));
        _number = number;
        _options = options;
        Logger = GuardedLogger.Create<PciBus>(options.LoggerFactory);
    }

    /// <summary>Makes the bus behind a bridge.</summary>
    internal PciBus(PciBridge bridge) => Bridge = bridge;

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
    public IEnumerable<PciFunction> Functions => _functions.OfType<PciFunction>();

    internal ILogger Logger { get; private set; } = NullLogger.Instance;

    internal PciHierarchy Hierarchy => _hierarchy;

    /// <summary>The bridges on the bus.</summary>
    internal IReadOnlyList<PciBridge> Bridges => Volatile.Read(ref _bridges);

    /// <summary>True while functions on the bus can master it up to the root.</summary>
    internal bool ForwardsUpstream => Bridge is null || (Bridge.IsForwarding && Bridge.IsBusMaster);

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
        lock (_hierarchy.Topology)
        {
            _ = Options;
            ObjectDisposedException.ThrowIf(_hierarchy.IsClosed, typeof(PciHostBridge));
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

            function.Attach(this, address, LineFor(device, function.Intx.Pin));
            Volatile.Write(ref _functions[address.DeviceFunction], function);
            UpdateBridges();
            UpdateMultiFunction(device);
            function.Renumber();
            function.Appeared();
            Bridge?.SecondaryChanged();
        }
    }

    /// <summary>
    /// Takes a function off the bus: nothing of it decodes, and no access to it is in flight, when this returns. Its addresses are free again.
    /// The accesses to its blocking regions (<see cref="PciBarRegion.IsBlocking"/>) are waited for last, when the bus can be changed again.
    /// </summary>
    /// <param name="function">A function of this bus.</param>
    /// <exception cref="ArgumentException">
    /// It is on another bus, or something has to go first: a device's other functions, what is behind a bridge.
    /// </exception>
    /// <exception cref="InvalidOperationException">Called from inside an access.</exception>
    public void Remove(PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        TakeOff(function);
        function.WaitForBlockingCalls();
    }

    /// <summary>As <see cref="Remove"/>, without waiting for the accesses to blocking regions.</summary>
    internal void TakeOff(PciFunction function)
    {
        lock (_hierarchy.Topology)
        {
            if (function.Bus != this)
            {
                throw new ArgumentException($"{function.Name} is not on bus {Number}", nameof(function));
            }

            if (WhatGoesFirst(function) is { } reason)
            {
                throw new ArgumentException(reason, nameof(function));
            }

            Memory.Domain.ThrowIfInside();
            Ports?.Domain.ThrowIfInside();
            var address = function.Address;
            Volatile.Write(ref _functions[address.DeviceFunction], null);
            UpdateBridges();
            UpdateMultiFunction(address.Device);

            // Configuration accesses that found the function before have ended after this.
            Memory.Domain.Synchronize();
            if (Ports is { } ports && ports.Domain != Memory.Domain)
            {
                ports.Domain.Synchronize();
            }

            function.Detach();
            FreeResources(function);
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
        if (_programmed)
        {
            lock (_hierarchy.Topology)
            {
                AssignAll(ReportUnplaced);
            }
        }
    }

    /// <summary>Takes a function off the bus if it is still there.</summary>
    /// <exception cref="InvalidOperationException">Something has to go first, or this is called from inside an access.</exception>
    internal void RemoveForDisposal(PciFunction function)
    {
        lock (_hierarchy.Topology)
        {
            if (function.Bus == this)
            {
                if (WhatGoesFirst(function) is { } reason)
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
        foreach (var function in Functions.ToList())
        {
            function.Reset();
        }
    }

    /// <summary>The bridge joined a bus.</summary>
    internal void Connect(PciBus parent)
    {
        _options = parent.Options;
        _hierarchy = parent._hierarchy;
        Logger = parent.Logger;
    }

    /// <summary>The bridge left its bus; nothing is behind it.</summary>
    internal void Disconnect()
    {
        _options = null;
        _hierarchy = new PciHierarchy();
    }

    /// <summary>The bus number changed: the functions on the bus have other addresses.</summary>
    internal void Renumber()
    {
        foreach (var function in Functions)
        {
            function.Renumber();
        }
    }

    /// <summary>The functions on the bus and behind its bridges.</summary>
    internal List<PciFunction> CollectBelow()
    {
        var functions = new List<PciFunction>();
        foreach (var function in Functions)
        {
            functions.Add(function);
            if (function is PciBridge bridge)
            {
                functions.AddRange(bridge.Secondary.CollectBelow());
            }
        }

        return functions;
    }

    /// <summary>The function with a bus number and place, behind this bus or on it, as configuration accesses are routed.</summary>
    internal PciFunction? Route(int bus, int deviceFunction)
    {
        var at = this;
        while (true)
        {
            PciBridge? next = null;
            foreach (var bridge in Volatile.Read(ref at._bridges))
            {
                if (bus >= bridge.SecondaryBusNumber && bus <= bridge.SubordinateBusNumber)
                {
                    next = bridge;
                    break;
                }
            }

            if (next is null || !next.IsForwarding)
            {
                return null;
            }

            at = next.Secondary;
            if (bus == next.SecondaryBusNumber)
            {
                return at.Find(deviceFunction);
            }
        }
    }

    /// <summary>
    /// True if a BAR of a kind decodes at an address: inside its space, and inside a window of every bridge and of the host bridge.
    /// </summary>
    internal bool Decodes(PciBarKind kind, ulong address, ulong size)
    {
        var space = kind == PciBarKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
        if (space == AddressSpaceKind.Port && (address > 0xffff || size - 1 > 0xffff - address))
        {
            return false;
        }

        if (Bridge is { } bridge)
        {
            return bridge.Forwards(kind, address, size) && bridge.Bus is { } parent && parent.Decodes(kind, address, size);
        }

        if (Windows.Count == 0)
        {
            return true;
        }

        foreach (var window in Windows)
        {
            if (window.Kind == space && window.Contains(address, size))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>
    /// Runs an effect at once, or, if the calling thread is inside an access to a space of the bus, right after that has ended
    /// (<see cref="AccessDomain.RunAfterAccess"/>).
    /// </summary>
    /// <param name="effect">Must handle its own failures.</param>
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
    private void RunAfterBoth(AddressSpace ports, Action effect)
    {
        ports.Domain.RunAfterAccess(() => Memory.Domain.RunAfterAccess(effect));
    }

    /// <summary>Connects eventfds to the wire that a function's pin drives, through the bridges above (PCI-9).</summary>
    /// <param name="function">A function of this bus with a pin.</param>
    /// <param name="source">Signalled to assert the level.</param>
    /// <param name="resample">Signalled when the guest has acknowledged it.</param>
    /// <returns>The connection, or null where the hypervisor has no such wires (<see cref="HasResampledLines"/>).</returns>
    /// <exception cref="HostException">The hypervisor refused.</exception>
    public IDisposable? ConnectPin(PciFunction function, EventFd source, EventFd resample)
    {
        ArgumentNullException.ThrowIfNull(function);
        int gsi = GetGsi(function.Address.Device, function.Intx.Pin);
        return (Options.InterruptLines as IResampledLines)?.Connect(gsi, source, resample);
    }

    /// <summary>Why a function of the bus cannot leave it yet, or null.</summary>
    private string? WhatGoesFirst(PciFunction function)
    {
        var address = function.Address;
        if (address.Function == 0 && FunctionsOf(address.Device).Count() > 1)
        {
            return $"{function.Name} at {address}: a device's function 0 is removed after its others";
        }

        return function is PciBridge { Secondary: var secondary } && secondary.Functions.Any()
            ? $"{function.Name} at {address}: a bridge is removed after what is behind it"
            : null;
    }

    private IInterruptLine? LineFor(int device, InterruptPin pin)
    {
        if (pin == InterruptPin.None || Options.InterruptLines is not { } lines)
        {
            return null;
        }

        return LineOf(GetGsi(device, pin), lines);
    }

    private IInterruptLine LineOf(int gsi, IInterruptLines lines)
    {
        if (Bridge is { Bus: { } parent })
        {
            return parent.LineOf(gsi, lines);
        }

        if (!_lines.TryGetValue(gsi, out var line))
        {
            line = new SharedInterruptLine(lines.GetLine(gsi));
            _lines.Add(gsi, line);
        }

        return line.CreateSource();
    }

    private IEnumerable<PciFunction> FunctionsOf(int device) => _functions.Skip(device << 3).Take(8).OfType<PciFunction>();

    private void UpdateBridges() => Volatile.Write(ref _bridges, _functions.OfType<PciBridge>().ToArray());

    private void UpdateMultiFunction(int device)
    {
        var functions = FunctionsOf(device).ToList();
        foreach (var function in functions)
        {
            function.SetMultiFunction(functions.Count > 1);
        }
    }
}
