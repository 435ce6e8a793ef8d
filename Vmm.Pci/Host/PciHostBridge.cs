using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;
using Vmm.Pci.State;

namespace Vmm.Pci.Host;

/// <summary>The way from the processor to the root bus: configuration ports, configuration memory (ECAM) and windows.</summary>
/// <remarks>
/// <para>Configuration accesses of several vCPUs run at once; what they share is one latch, read and written whole.
/// An access to a bus behind bridges goes where their bus numbers say, as they are at that moment.</para>
/// <para>A function that is added to a bus below belongs to the bridge: <see cref="Dispose"/> disposes those that are still there. One that is
/// removed belongs to whoever removed it, and one that is disposed takes itself off its bus first.</para>
/// </remarks>
public sealed class PciHostBridge : IDisposable, IComponent
{
    /// <summary>The first configuration port; there are eight.</summary>
    public const ushort ConfigurationPortBase = 0xcf8;

    private readonly List<(AddressSpace Space, Claim Claim)> _claims = [];
    private bool _disposed;

    /// <summary>Makes a bridge with its own function at 00:00.0.</summary>
    /// <param name="options">Spaces, windows and wires.</param>
    /// <exception cref="ArgumentException">The configuration window is misplaced.</exception>
    public PciHostBridge(PciHostBridgeOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.BusCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(options.BusCount, 256);
        EcamBase = options.EcamBase;
        EcamLength = (ulong)options.BusCount << 20;
        if ((EcamBase & 0xfffff) != 0 || EcamLength - 1 > ulong.MaxValue - EcamBase)
        {
            throw new ArgumentException($"configuration memory of 0x{EcamLength:x} bytes cannot start at 0x{EcamBase:x}", nameof(options));
        }

        BusCount = options.BusCount;
        Root = new PciBus(0, options);
        ConfigurationPorts = new ConfigurationPorts(this);
        Ecam = new EcamRegion(this);
        Function = new PciFunction(options.Identity, new PciFunctionOptions { Name = "host-bridge", ExtendedConfigurationSpace = true });
        Root.Add(Function, 0);
    }

    /// <summary>The root bus, number 0.</summary>
    public PciBus Root { get; }

    /// <summary>The bridge's own function.</summary>
    public PciFunction Function { get; }

    /// <summary>How many bus numbers configuration memory has room for.</summary>
    public int BusCount { get; }

    /// <summary>Where configuration memory lies.</summary>
    public ulong EcamBase { get; }

    /// <summary>Bytes of configuration memory.</summary>
    public ulong EcamLength { get; }

    /// <summary>Answers the ports 0xcf8 to 0xcff.</summary>
    public IRegionHandler ConfigurationPorts { get; }

    /// <summary>Answers configuration memory.</summary>
    public IRegionHandler Ecam { get; }

    string IComponent.Name => "pci";

    IReadOnlyList<IComponent> IComponent.Parts => [.. Root.Functions];

    /// <summary>The function at an address, or null.</summary>
    /// <param name="address">Bus, device and function.</param>
    public PciFunction? Find(PciAddress address) => Find(address.Bus, address.DeviceFunction);

    /// <summary>Claims the ports (if there is a port space) and configuration memory.</summary>
    /// <exception cref="InvalidOperationException">They are claimed already.</exception>
    public void ClaimConfigurationAccess()
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (_claims.Count != 0)
        {
            throw new InvalidOperationException("configuration access is claimed already");
        }

        Claim(Root.Memory, new HandlerClaim("pci configuration memory", EcamLength, Ecam, ClaimPriority.Platform) { Device = "pci" }, EcamBase);
        if (Root.Ports is { } ports)
        {
            Claim(ports, new HandlerClaim("pci configuration ports", 8, ConfigurationPorts, ClaimPriority.Platform) { Device = "pci" }, ConfigurationPortBase);
        }
    }

    /// <summary>Takes the configuration ports and all functions to their power-on state and programs what firmware had programmed.</summary>
    public void Reset()
    {
        ((ConfigurationPorts)ConfigurationPorts).Reset();
        Root.Reset();
    }

    /// <inheritdoc/>
    public void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        node.AddBits("configuration memory", EcamBase, 8);
        node.Add("buses", BusCount);
        foreach ((int index, PciWindow window) in Root.Windows.Index())
        {
            string kind = window.Kind == AddressSpaceKind.Port ? "ports" : "memory";
            node.Add(
                string.Create(CultureInfo.InvariantCulture, $"window{index}"),
                string.Create(CultureInfo.InvariantCulture, $"{kind} 0x{window.Base:x} to 0x{window.Last:x}"));
        }

        node.AddBits("configuration address", ((ConfigurationPorts)ConfigurationPorts).Address, 4);
        node.Add("unplaced ranges", Root.UnplacedRanges);
    }

    /// <inheritdoc/>
    public SavedState Save()
    {
        var state = new HostBridgeState { ConfigurationAddress = ((ConfigurationPorts)ConfigurationPorts).Address };
        return SavedState.Of(HostBridgeState.Kind, HostBridgeState.Version, state, PciStateJson.Default.HostBridgeState);
    }

    /// <inheritdoc/>
    public Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        HostBridgeState bridge = state.Read(HostBridgeState.Kind, HostBridgeState.Version, PciStateJson.Default.HostBridgeState);
        return () => ((ConfigurationPorts)ConfigurationPorts).Address = bridge.ConfigurationAddress;
    }

    /// <summary>
    /// Ends configuration access, takes every function off its bus, also those behind bridges, and then disposes them: what is behind a bridge before
    /// the bridge, the last device first. The vCPUs may still run; they find nothing. Not from inside an access. A failure of one function is
    /// logged and keeps no other from its disposal. Disposing twice is harmless.
    /// </summary>
    /// <exception cref="InvalidOperationException">Called from inside an access; nothing has changed.</exception>
    public void Dispose()
    {
        Root.Memory.Domain.ThrowIfInside();
        Root.Ports?.Domain.ThrowIfInside();
        List<PciFunction> functions;
        lock (Root.Hierarchy.Topology)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            Root.Hierarchy.IsClosed = true;
            foreach ((AddressSpace space, Claim claim) in _claims)
            {
                try
                {
                    space.Remove(claim);
                }
                catch (HostException e)
                {
                    Log.DisposalFailed(Root.Logger, e, claim.Name);
                }
            }

            functions = Root.CollectBelow();
            functions.Reverse();
            ForEach(functions, static function => (function.Bus as PciBus)?.TakeOff(function));
        }

        // Without the lock: a worker that is waited for may be about to take its function off the bus itself, and a blocking region may take long.
        ForEach(functions, static function => function.Dispose());
    }

    internal PciFunction? Find(int bus, int deviceFunction) => bus == 0 ? Root.Find(deviceFunction) : ConfigurationRouting.Find(Root, bus, deviceFunction);

    private void ForEach(List<PciFunction> functions, Action<PciFunction> step)
    {
        foreach (PciFunction function in functions)
        {
            try
            {
                step(function);
            }
            catch (Exception e)
            {
                Log.DisposalFailed(Root.Logger, e, function.Name);
            }
        }
    }

    private void Claim(AddressSpace space, Claim claim, ulong address)
    {
        space.Add(claim, address);
        _claims.Add((space, claim));
    }
}
