using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Pci.Bars;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Host;

/// <summary>The part of firmware for a bus and all behind its bridges: bus numbers, windows of bridges, addresses of BARs, interrupt lines.</summary>
/// <remarks>Used under the topology lock.</remarks>
internal sealed class BusResources(PciBus bus)
{
    private readonly Dictionary<(PciFunction Function, int Index), (PciWindow Window, ulong Address)> _assigned = [];
    private readonly TokenBucket _unplacedReports = new();
    private bool _programmed;
    private long _unplaced;

    /// <summary>How many BARs, windows and buses <see cref="Restore"/> found no room for.</summary>
    public long Unplaced => Volatile.Read(ref _unplaced);

    /// <summary>Numbers buses, opens windows, gives addresses to what has none, and sets interrupt lines.</summary>
    /// <exception cref="PciResourceException">A window has no room, or there are more than 256 buses; what was assigned before stays.</exception>
    public void Assign()
    {
        _programmed = true;
        Assign(static reason => throw reason);
    }

    /// <summary>Programs what had been programmed before a reset, if anything. What has no room is left without an address, counted and logged.</summary>
    public void Restore()
    {
        if (_programmed)
        {
            Assign(ReportUnplaced);
        }
    }

    /// <summary>The ranges of a function that left the bus are free again.</summary>
    public void Free(PciFunction function)
    {
        foreach (((PciFunction Function, int Index) key, (PciWindow Window, ulong Address) range)
            in _assigned.Where(pair => pair.Key.Function == function).ToList())
        {
            _assigned.Remove(key);
            range.Window.Free(range.Address);
        }

        (function as PciBridge)?.Windows.ForgetPools();
    }

    private void Assign(Action<PciResourceException> refused)
    {
        NumberBuses(bus.Number, refused);
        AssignRanges(refused);
    }

    private void ReportUnplaced(PciResourceException reason)
    {
        Interlocked.Increment(ref _unplaced);
        if (_unplacedReports.TryTake(out long suppressed))
        {
            Log.Unplaced(bus.Logger, reason.Message, suppressed);
        }
    }

    /// <summary>Numbers the buses behind this one, depth first.</summary>
    /// <returns>The highest number used.</returns>
    private int NumberBuses(int own, Action<PciResourceException> refused)
    {
        int last = own;
        foreach (PciBridge bridge in bus.Bridges)
        {
            int secondary = last + 1;
            if (secondary > 255)
            {
                refused(new PciResourceException($"{bridge.Name} at {bridge.Address}: no bus number is left for what is behind it"));
                continue;
            }

            // Configuration accesses must find the bus while the ones behind it are numbered.
            bridge.SetBusNumbers(own, secondary, 255);
            last = Math.Min(255, bridge.Secondary.Resources.NumberBuses(secondary, refused) + bridge.Options.ReservedBuses);
            bridge.SetBusNumbers(own, secondary, last);
        }

        return last;
    }

    private void AssignRanges(Action<PciResourceException> refused)
    {
        // Large ones first: their alignment leaves no gaps then.
        foreach (ResourceRequest request in Requests().OrderByDescending(static request => request.Size).ToList())
        {
            (PciFunction Function, int Index) key = (request.Function, request.Index);
            if (!_assigned.TryGetValue(key, out (PciWindow Window, ulong Address) range))
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

        foreach (PciFunction function in bus.Functions)
        {
            if (function.Intx.Pin != InterruptPin.None)
            {
                uint gsi = (uint)bus.Wiring.GetGsi(function.Address.Device, function.Intx.Pin);
                function.ConfigurationSpace.Update(ConfigurationRegisters.InterruptLine, 0xff, gsi);
            }
        }

        foreach (PciBridge bridge in bus.Bridges)
        {
            bridge.Secondary.Resources.AssignRanges(refused);
        }
    }

    private IEnumerable<ResourceRequest> Requests()
    {
        foreach (PciFunction function in bus.Functions)
        {
            foreach (PciBar bar in function.Bars)
            {
                bool io = bar.Kind == PciBarKind.Io;
                bool high = bar.Kind == PciBarKind.Memory64 && bar.Placement == PciBarPlacement.Automatic;
                yield return new ResourceRequest(
                    function, bar.Index, bar.Size, io ? AddressSpaceKind.Port : AddressSpaceKind.Memory, high, high && bar.Prefetchable);
            }

            if (function is PciBridge bridge)
            {
                foreach (BridgeWindowKind kind in Enum.GetValues<BridgeWindowKind>())
                {
                    // A window keeps its size for as long as the bridge is there.
                    ulong size = bridge.Windows.Pool(kind) is { } pool ? pool.Last - pool.Base + 1 : bridge.Secondary.Resources.WindowSize(kind);
                    if (size != 0)
                    {
                        bool prefetchable = kind == BridgeWindowKind.Prefetchable;
                        AddressSpaceKind space = kind == BridgeWindowKind.Io ? AddressSpaceKind.Port : AddressSpaceKind.Memory;
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
        foreach (ResourceRequest request in Requests())
        {
            BridgeWindowKind wanted = request.Space == AddressSpaceKind.Port ? BridgeWindowKind.Io
                : request.Prefetchable ? BridgeWindowKind.Prefetchable : BridgeWindowKind.Memory;
            sum += wanted == kind ? request.Size : 0;
        }

        sum = Math.Max(sum, bus.Bridge!.Windows.LeastSize(kind));
        ulong granularity = kind == BridgeWindowKind.Io ? PciBridge.IoGranularity : PciBridge.MemoryGranularity;
        return sum == 0 ? 0 : BitOperations.RoundUpToPowerOf2(Math.Max(sum, granularity));
    }

    private bool TryAllocate(in ResourceRequest request, out (PciWindow Window, ulong Address) range)
    {
        foreach (PciWindow window in Candidates(request))
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
        string windows = bus.Bridge is { } bridge ? $"those of {bridge.Name} at {bridge.Address}" : string.Join(", ", bus.Windows);
        return new PciResourceException(
            $"{request.Function.Name} at {request.Function.Address}: "
            + $"no window has 0x{request.Size:x} bytes for {request.What} ({request.Space}); windows: {windows}");
    }

    private IEnumerable<PciWindow> Candidates(ResourceRequest request)
    {
        if (bus.Bridge is { Windows: var windows })
        {
            BridgeWindowKind[] kinds = request.Space == AddressSpaceKind.Port ? [BridgeWindowKind.Io]
                : request.Prefetchable ? [BridgeWindowKind.Prefetchable, BridgeWindowKind.Memory] : [BridgeWindowKind.Memory];
            return kinds.Select(windows.Pool).OfType<PciWindow>();
        }

        return bus.Windows.Where(window => window.Kind == request.Space && (request.High || request.Space == AddressSpaceKind.Port || window.IsBelow4GiB))
            .OrderByDescending(window => request.High && !window.IsBelow4GiB);
    }
}
