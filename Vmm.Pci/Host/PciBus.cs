using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Bars;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Host;

/// <summary>A PCI bus: up to 256 functions, their configuration space, and what they are wired to.</summary>
/// <remarks>
/// Look-up is one array read without a lock. <see cref="Add"/>, <see cref="Remove"/> and <see cref="AssignResources"/> take the topology lock and
/// must not be called from inside an access. Lock order: the topology lock, then a function's mapping lock.
/// </remarks>
public sealed class PciBus
{
    private readonly PciBusOptions _options;
    private readonly PciFunction?[] _functions = new PciFunction?[256];
    private readonly Dictionary<int, SharedInterruptLine> _lines = [];
    private readonly Dictionary<(PciFunction Function, int Bar), (PciWindow Window, ulong Address)> _assigned = [];
    private readonly Lock _topologyLock = new();

    /// <summary>Makes an empty bus.</summary>
    /// <param name="number">Bus number, 0 to 255.</param>
    /// <param name="options">What it is wired to.</param>
    public PciBus(int number, PciBusOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)number, 255u, nameof(number));
        Number = number;
        _options = options;
        Logger = options.LoggerFactory?.CreateLogger<PciBus>() ?? (ILogger)NullLogger.Instance;
    }

    /// <summary>Bus number.</summary>
    public int Number { get; }

    /// <summary>True for the bus below the host bridge.</summary>
    public bool IsRoot => _options is not null;

    /// <summary>Where memory BARs decode.</summary>
    public AddressSpace Memory => _options.Memory;

    /// <summary>Where I/O BARs decode, or null.</summary>
    public AddressSpace? Ports => _options.Ports;

    /// <summary>Ranges that reach the bus; empty if everything does.</summary>
    public IReadOnlyList<PciWindow> Windows => _options.Windows;

    /// <summary>Takes message-signalled interrupts, or null.</summary>
    public IMsiSink? MsiSink => _options.MsiSink;

    /// <summary>Delivers eventfds, or null.</summary>
    public IIrqRouting? IrqRouting => _options.IrqRouting;

    /// <summary>Which wire a pin drives.</summary>
    public PciInterruptRouting InterruptRouting => _options.InterruptRouting;

    /// <summary>The functions on the bus, by device and function number.</summary>
    public IEnumerable<PciFunction> Functions => _functions.OfType<PciFunction>();

    internal ILogger Logger { get; }

    /// <summary>The function with a number, or null.</summary>
    /// <param name="deviceFunction">device &lt;&lt; 3 | function, 0 to 255.</param>
    public PciFunction? Find(int deviceFunction) => Volatile.Read(ref _functions[deviceFunction & 0xff]);

    /// <summary>Puts a function on the bus; a guest sees it from now on.</summary>
    /// <param name="function">A function of no bus.</param>
    /// <param name="device">Device number, 0 to 31.</param>
    /// <param name="functionNumber">Function number, 0 to 7; function 0 comes first.</param>
    /// <exception cref="ArgumentException">The place is taken, function 0 is missing, or the function's layout contradicts itself.</exception>
    public void Add(PciFunction function, int device, int functionNumber = 0)
    {
        ArgumentNullException.ThrowIfNull(function);
        var address = new PciAddress(Number, device, functionNumber);
        lock (_topologyLock)
        {
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
            UpdateMultiFunction(device);
        }
    }

    /// <summary>
    /// Takes a function off the bus: nothing of it decodes, and no access to it is in flight, when this returns. Its addresses are free again.
    /// </summary>
    /// <param name="function">A function of this bus.</param>
    /// <exception cref="ArgumentException">It is on another bus, or it is function 0 of a device that has others.</exception>
    public void Remove(PciFunction function)
    {
        ArgumentNullException.ThrowIfNull(function);
        lock (_topologyLock)
        {
            if (function.Bus != this)
            {
                throw new ArgumentException($"{function.Name} is not on bus {Number}", nameof(function));
            }

            var address = function.Address;
            if (address.Function == 0 && FunctionsOf(address.Device).Count() > 1)
            {
                throw new ArgumentException($"{address}: a device's function 0 is removed after its others", nameof(function));
            }

            Volatile.Write(ref _functions[address.DeviceFunction], null);
            UpdateMultiFunction(address.Device);

            // Configuration accesses that found the function before have ended after this.
            Memory.Domain.Synchronize();
            if (Ports is { } ports && ports.Domain != Memory.Domain)
            {
                ports.Domain.Synchronize();
            }

            function.Detach();
            foreach (var bar in function.Bars)
            {
                if (_assigned.Remove((function, bar.Index), out var range))
                {
                    range.Window.Free(range.Address);
                }
            }
        }
    }

    /// <summary>
    /// Does what firmware does: every BAR gets an address from a window (and keeps it when this is called again, as after a reset), and the
    /// Interrupt Line register the GSI of the pin. Decoding is left to the guest.
    /// </summary>
    /// <exception cref="PciResourceException">A window has no room; what was assigned before stays.</exception>
    public void AssignResources()
    {
        lock (_topologyLock)
        {
            // Large ones first: their alignment leaves no gaps then.
            var bars = Functions.SelectMany(static function => function.Bars.Select(bar => (Function: function, Bar: bar)))
                .OrderByDescending(static pair => pair.Bar.Size)
                .ToList();
            foreach (var (function, bar) in bars)
            {
                if (!_assigned.TryGetValue((function, bar.Index), out var range))
                {
                    range = Allocate(function, bar);
                    _assigned.Add((function, bar.Index), range);
                }

                function.SetBarAddress(bar.Index, range.Address);
            }

            foreach (var function in Functions)
            {
                if (function.Intx.Pin != InterruptPin.None)
                {
                    uint gsi = (uint)InterruptRouting.GetGsi(function.Address.Device, function.Intx.Pin);
                    function.ConfigurationSpace.Update(ConfigurationRegisters.InterruptLine, 0xff, gsi);
                }
            }
        }
    }

    /// <summary>Resets every function, as a reset of the machine does, and programs what firmware had programmed.</summary>
    public void Reset()
    {
        foreach (var function in Functions.ToList())
        {
            function.Reset();
        }

        if (_assigned.Count > 0)
        {
            AssignResources();
        }
    }

    /// <summary>True if a BAR of a kind decodes at an address: inside its space, and inside a window if there are windows.</summary>
    internal bool Decodes(PciBarKind kind, ulong address, ulong size)
    {
        var space = kind == PciBarKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
        if (space == AddressSpaceKind.Port && (address > 0xffff || size - 1 > 0xffff - address))
        {
            return false;
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

    private (PciWindow Window, ulong Address) Allocate(PciFunction function, PciBar bar)
    {
        var kind = bar.Kind == PciBarKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
        bool high = bar.Kind == PciBarKind.Memory64 && bar.Placement == PciBarPlacement.Automatic;
        var candidates = Windows.Where(window => window.Kind == kind && (high || kind == AddressSpaceKind.Port || window.IsBelow4GiB))
            .OrderByDescending(window => high && !window.IsBelow4GiB);
        foreach (var window in candidates)
        {
            if (window.TryAllocate(bar.Size, out ulong address))
            {
                return (window, address);
            }
        }

        throw new PciResourceException(
            $"{function.Name} at {function.Address}: no window has 0x{bar.Size:x} bytes for BAR {bar.Index} ({bar.Kind}); windows: {string.Join(", ", Windows)}");
    }

    private IInterruptLine? LineFor(int device, InterruptPin pin)
    {
        if (pin == InterruptPin.None || _options.InterruptLines is not { } lines)
        {
            return null;
        }

        int gsi = InterruptRouting.GetGsi(device, pin);
        if (!_lines.TryGetValue(gsi, out var line))
        {
            line = new SharedInterruptLine(lines.GetLine(gsi));
            _lines.Add(gsi, line);
        }

        return line.CreateSource();
    }

    private IEnumerable<PciFunction> FunctionsOf(int device) => _functions.Skip(device << 3).Take(8).OfType<PciFunction>();

    private void UpdateMultiFunction(int device)
    {
        var functions = FunctionsOf(device).ToList();
        foreach (var function in functions)
        {
            function.SetMultiFunction(functions.Count > 1);
        }
    }
}
