using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Host;

/// <content>What firmware does: bus numbers, windows of bridges, addresses, interrupt lines.</content>
public sealed partial class PciBus
{
    private readonly Dictionary<(PciFunction Function, int Index), (PciWindow Window, ulong Address)> _assigned = [];
    private readonly TokenBucket _unplacedReports = new();
    private bool _programmed;
    private long _unplacedRanges;

    /// <summary>How many BARs, windows and buses a reset found no room for.</summary>
    public long UnplacedRanges => Volatile.Read(ref _unplacedRanges);

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

        lock (_hierarchy.Topology)
        {
            _programmed = true;
            AssignAll(static reason => throw reason);
        }
    }

    /// <summary>The GSI that a pin of a device on this bus drives, swizzled through the bridges above.</summary>
    internal int GetGsi(int device, InterruptPin pin)
    {
        var routing = InterruptRouting;
        var at = this;
        while (at.Bridge is { Bus: { } parent } bridge)
        {
            pin = PciInterruptRouting.Swizzle(device, pin);
            device = bridge.Address.Device;
            routing = bridge is PciRootPort ? PortInterruptRouting : routing;
            at = parent;
        }

        return routing.GetGsi(device, pin);
    }

    private void FreeResources(PciFunction function)
    {
        foreach (var (key, range) in _assigned.Where(pair => pair.Key.Function == function).ToList())
        {
            _assigned.Remove(key);
            range.Window.Free(range.Address);
        }

        (function as PciBridge)?.ForgetPools();
    }

    private void AssignAll(Action<PciResourceException> refused)
    {
        NumberBuses(Number, refused);
        AssignRanges(refused);
    }

    private void ReportUnplaced(PciResourceException reason)
    {
        Interlocked.Increment(ref _unplacedRanges);
        if (_unplacedReports.TryTake(out long suppressed))
        {
            Log.Unplaced(Logger, reason.Message, suppressed);
        }
    }

    /// <summary>Numbers the buses behind this one, depth first.</summary>
    /// <returns>The highest number used.</returns>
    private int NumberBuses(int own, Action<PciResourceException> refused)
    {
        int last = own;
        foreach (var bridge in Bridges)
        {
            int secondary = last + 1;
            if (secondary > 255)
            {
                refused(new PciResourceException($"{bridge.Name} at {bridge.Address}: no bus number is left for what is behind it"));
                continue;
            }

            // Configuration accesses must find the bus while the ones behind it are numbered.
            bridge.SetBusNumbers(own, secondary, 255);
            last = Math.Min(255, bridge.Secondary.NumberBuses(secondary, refused) + bridge.Options.ReservedBuses);
            bridge.SetBusNumbers(own, secondary, last);
        }

        return last;
    }

    private void AssignRanges(Action<PciResourceException> refused)
    {
        // Large ones first: their alignment leaves no gaps then.
        foreach (var request in Requests().OrderByDescending(static request => request.Size).ToList())
        {
            var key = (request.Function, request.Index);
            if (!_assigned.TryGetValue(key, out var range))
            {
                if (!TryAllocate(request, out range))
                {
                    refused(NoRoom(request));
                    continue;
                }

                _assigned.Add(key, range);
            }

            if (request.Index < ResourceRequest.WindowIndex)
            {
                request.Function.SetBarAddress(request.Index, range.Address);
            }
            else
            {
                var kind = (BridgeWindowKind)(request.Index - ResourceRequest.WindowIndex);
                ((PciBridge)request.Function).SetWindow(kind, range.Address, request.Size);
            }
        }

        foreach (var function in Functions)
        {
            if (function.Intx.Pin != InterruptPin.None)
            {
                uint gsi = (uint)GetGsi(function.Address.Device, function.Intx.Pin);
                function.ConfigurationSpace.Update(ConfigurationRegisters.InterruptLine, 0xff, gsi);
            }
        }

        foreach (var bridge in Bridges)
        {
            bridge.Secondary.AssignRanges(refused);
        }
    }

    private IEnumerable<ResourceRequest> Requests()
    {
        foreach (var function in Functions)
        {
            foreach (var bar in function.Bars)
            {
                bool io = bar.Kind == PciBarKind.Io;
                bool high = bar.Kind == PciBarKind.Memory64 && bar.Placement == PciBarPlacement.Automatic;
                yield return new ResourceRequest(
                    function, bar.Index, bar.Size, io ? AddressSpaceKind.Port : AddressSpaceKind.Memory, high, high && bar.Prefetchable);
            }

            if (function is PciBridge bridge)
            {
                foreach (var kind in Enum.GetValues<BridgeWindowKind>())
                {
                    // A window keeps its size for as long as the bridge is there.
                    ulong size = Pool(bridge, kind) is { } pool ? pool.Last - pool.Base + 1 : bridge.Secondary.WindowSize(kind);
                    if (size != 0)
                    {
                        bool prefetchable = kind == BridgeWindowKind.Prefetchable;
                        var space = kind == BridgeWindowKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
                        yield return new ResourceRequest(bridge, ResourceRequest.WindowIndex + (int)kind, size, space, prefetchable, prefetchable);
                    }
                }
            }
        }
    }

    /// <summary>Bytes that a window of the bridge above needs, a power of two, or 0.</summary>
    private ulong WindowSize(BridgeWindowKind kind)
    {
        ulong sum = 0;
        foreach (var request in Requests())
        {
            var wanted = request.Space == AddressSpaceKind.Port ? BridgeWindowKind.Io
                : request.Prefetchable ? BridgeWindowKind.Prefetchable : BridgeWindowKind.Memory;
            sum += wanted == kind ? request.Size : 0;
        }

        sum = Math.Max(sum, Bridge!.LeastSize(kind));
        ulong granularity = kind == BridgeWindowKind.Io ? PciBridge.IoGranularity : PciBridge.MemoryGranularity;
        return sum == 0 ? 0 : BitOperations.RoundUpToPowerOf2(Math.Max(sum, granularity));
    }

    private bool TryAllocate(in ResourceRequest request, out (PciWindow Window, ulong Address) range)
    {
        foreach (var window in Candidates(request))
        {
            if (window.TryAllocate(request.Size, out ulong address))
            {
                range = (window, address);
                return true;
            }
        }

        range = default;
        return false;
    }

    private PciResourceException NoRoom(in ResourceRequest request)
    {
        string windows = Bridge is null ? string.Join(", ", Windows) : $"those of {Bridge.Name} at {Bridge.Address}";
        return new PciResourceException(
            $"{request.Function.Name} at {request.Function.Address}: "
            + $"no window has 0x{request.Size:x} bytes for {request.What} ({request.Space}); windows: {windows}");
    }

    private IEnumerable<PciWindow> Candidates(ResourceRequest request)
    {
        if (Bridge is { } bridge)
        {
            PciWindow?[] pools = request.Space == AddressSpaceKind.Port ? [bridge.IoPool]
                : request.Prefetchable ? [bridge.PrefetchablePool, bridge.MemoryPool] : [bridge.MemoryPool];
            return pools.OfType<PciWindow>();
        }

        return Windows.Where(window => window.Kind == request.Space && (request.High || request.Space == AddressSpaceKind.Port || window.IsBelow4GiB))
            .OrderByDescending(window => request.High && !window.IsBelow4GiB);
    }

    private static PciWindow? Pool(PciBridge bridge, BridgeWindowKind kind) => kind switch
    {
        BridgeWindowKind.Io => bridge.IoPool,
        BridgeWindowKind.Memory => bridge.MemoryPool,
        _ => bridge.PrefetchablePool,
    };
}
