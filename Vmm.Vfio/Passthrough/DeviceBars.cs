using System;
using System.Collections.Generic;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;

namespace Vmm.Vfio.Passthrough;

/// <summary>The BARs of a passed-through function and the host mappings behind them. Set-up and disposal are one thread's.</summary>
internal sealed class DeviceBars : IDisposable
{
    private readonly List<HostMemory> _memory = [];

    private DeviceBars()
    {
    }

    /// <summary>The BARs as the guest sees them.</summary>
    public List<PciBar> Bars { get; } = [];

    /// <summary>How each of them is given to the guest, in the same order.</summary>
    public List<BarPlan> Plans { get; } = [];

    /// <summary>Maps what can be mapped and makes the BARs.</summary>
    /// <param name="layout">What the device is.</param>
    /// <param name="msix">The emulated MSI-X capability of <see cref="DeviceLayout.Msix"/>, or null without.</param>
    /// <param name="backend">The device.</param>
    /// <param name="access">How it is reached by exits.</param>
    /// <param name="options">What is wanted.</param>
    /// <param name="logger">Where a fallback is said.</param>
    /// <exception cref="ArgumentException">A trapped range that lies in no BAR.</exception>
    public static DeviceBars Create(
        DeviceLayout layout, MsixCapability? msix, IPciDeviceBackend backend, DeviceAccess access, PassthroughFunctionOptions options, ILogger logger)
    {
        if (options.TrappedRanges.Keys.FirstOrDefault(index => !layout.Bars.Any(bar => bar.Index == index), -1) is var missing and >= 0)
        {
            throw new ArgumentException($"{backend.Name} has no BAR {missing} of which to trap a range", nameof(options));
        }

        var result = new DeviceBars();
        try
        {
            foreach (DeviceBar bar in layout.Bars)
            {
                result.Add(bar, msix, backend, access, options, logger);
            }

            return result;
        }
        catch
        {
            result.Dispose();
            throw;
        }
    }

    /// <summary>Unmaps everything; nothing of it is in the guest any more.</summary>
    public void Dispose()
    {
        foreach (HostMemory memory in _memory)
        {
            memory.Dispose();
        }

        _memory.Clear();
    }

    private static BarRequest RequestFor(DeviceBar bar, MsixCapability? msix, PassthroughFunctionOptions options)
    {
        bool mappable = options.MapBars && bar.Region.CanRead && (bar.Kind is PciBarKind.Memory32 or PciBarKind.Memory64);
        return new BarRequest
        {
            Size = bar.Region.Size,
            PageSize = (ulong)Environment.SystemPageSize,
            MappableAreas = mappable ? bar.Region.MappableAreas : [],
            TableIsMappable = bar.Region.TableIsMappable,
            Table = msix?.TableBar == bar.Index ? new RegionArea(msix.TableOffset, (ulong)msix.VectorCount * MsixCapability.EntryLength) : null,
            PendingBits = msix?.PendingBar == bar.Index ? new RegionArea(msix.PendingOffset, MsixCapability.PendingLength(msix.VectorCount)) : null,
            Trapped = options.TrappedRanges.GetValueOrDefault(bar.Index, []),
        };
    }

    private void Add(
        DeviceBar bar, MsixCapability? msix, IPciDeviceBackend backend, DeviceAccess access, PassthroughFunctionOptions options, ILogger logger)
    {
        BarRequest request = RequestFor(bar, msix, options);
        BarPlan plan = BarPlanner.Plan(request);
        var index = (PciRegionIndex)bar.Index;
        if (!TryMap(plan, index, backend, bar.Region.CanWrite, logger, out List<HostMemory>? mappings))
        {
            plan = BarPlanner.PlanTrapped(request);
        }

        _memory.AddRange(mappings);
        var regions = new List<PciBarRegion>();
        foreach (BarPiece piece in plan.Pieces)
        {
            var handler = new DeviceRegionHandler(access, index, piece.Offset, bar.Region.CanRead, bar.Region.CanWrite && bar.Kind != PciBarKind.Rom);
            regions.Add(piece.Kind switch
            {
                BarPieceKind.Table => msix!.CreateTableRegion(),
                BarPieceKind.PendingBits => msix!.CreatePendingRegion(),
                BarPieceKind.Mapped => new PciBarRegion(
                    "device-mapped",
                    piece.Offset,
                    piece.Length,
                    mappings[piece.Mapping],
                    piece.Offset - plan.Mappings[piece.Mapping].Offset,
                    !bar.Region.CanWrite,
                    handler),
                _ => new PciBarRegion("device", piece.Offset, piece.Length, handler) { IsBlocking = true },
            });
        }

        Bars.Add(PciBar.OfDevice(bar.Index, bar.Kind, bar.Region.Size, regions, bar.Prefetchable));
        Plans.Add(plan);
    }

    /// <summary>Maps what a plan asks for: all of it, or nothing (VFIO-5).</summary>
    private static bool TryMap(
        BarPlan plan, PciRegionIndex index, IPciDeviceBackend backend, bool writable, ILogger logger, out List<HostMemory> mappings)
    {
        mappings = [];
        foreach (RegionArea area in plan.Mappings)
        {
            try
            {
                mappings.Add(backend.Map(index, area, writable));
            }
            catch (HostException e)
            {
                Log.MappingFellBack(logger, e, backend.Name, (int)index, area.Length, area.Offset);
                foreach (HostMemory mapping in mappings)
                {
                    mapping.Dispose();
                }

                mappings = [];
                return false;
            }
        }

        return true;
    }
}
