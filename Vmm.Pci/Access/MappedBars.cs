using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Linq;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Capabilities;

namespace Vmm.Pci.Access;

/// <summary>The parts of a device's BARs that are mapped into this process: an access there is one load or store, not a call (VFIO-3).</summary>
/// <remarks>
/// Made and disposed by one thread, looked into by any. Whoever looks knows that the device decodes memory, and that this is not being disposed:
/// touching a page of a device that does not decode, or that is not mapped any more, ends the process.
/// </remarks>
internal sealed class MappedBars : IDisposable
{
    private const int BarCount = 6;
    private const int MsixLength = 12;

    private readonly List<HostMemory> _memory = [];
    private readonly Part[][] _parts = new Part[BarCount][];

    /// <summary>Maps what the device lets be mapped, without the pages of the MSI-X table. A BAR whose mapping is refused is left out.</summary>
    /// <param name="device">The device.</param>
    /// <param name="image">The device's configuration space, 256 bytes.</param>
    /// <param name="capabilities">Its standard capabilities.</param>
    /// <param name="logger">Where a refusal is logged.</param>
    public MappedBars(IPciDeviceBackend device, ReadOnlySpan<byte> image, IReadOnlyList<DeviceCapability> capabilities, ILogger logger)
    {
        DeviceCapability msix = capabilities.FirstOrDefault(capability => capability.Id == Spec.CapabilityIds.Msix && capability.Room >= MsixLength);
        uint table = msix.Room == 0 ? uint.MaxValue : BinaryPrimitives.ReadUInt32LittleEndian(image[(msix.Offset + 4)..]);
        ulong entries = msix.Room == 0 ? 0 : (BinaryPrimitives.ReadUInt16LittleEndian(image[(msix.Offset + 2)..]) & 0x7fful) + 1;
        for (int bar = 0; bar < BarCount; bar++)
        {
            bool hasTable = entries > 0 && (table & 7) == bar;
            _parts[bar] = Map(device, bar, hasTable ? new RegionArea(table & ~7u, entries * MsixCapability.EntryLength) : null, logger);
        }
    }

    /// <summary>Bytes of a BAR that are mapped.</summary>
    public ulong MappedLength(int bar) => _parts[bar].Aggregate(0ul, (sum, part) => sum + part.Length);

    /// <summary>Finds the mapped part that an access lies in.</summary>
    /// <param name="bar">0 to 5.</param>
    /// <param name="offset">Offset in the BAR, in bytes.</param>
    /// <param name="width">Bytes of the access.</param>
    /// <param name="handler">Makes the load or store.</param>
    /// <param name="at">Where, as the handler counts.</param>
    /// <returns>False if no mapped part has all of it, or it is not aligned to its width.</returns>
    public bool TryFind(int bar, ulong offset, int width, [NotNullWhen(true)] out IRegionHandler? handler, out ulong at)
    {
        foreach (ref readonly Part part in _parts[bar].AsSpan())
        {
            if (offset >= part.Offset && GuestRange.Fits(offset - part.Offset, (ulong)width, part.Length) && (offset & ((ulong)width - 1)) == 0)
            {
                (handler, at) = (part.Handler, offset - part.Offset);
                return true;
            }
        }

        (handler, at) = (null, 0);
        return false;
    }

    /// <summary>Unmaps; no access is under way.</summary>
    public void Dispose()
    {
        foreach (HostMemory memory in _memory)
        {
            memory.Dispose();
        }

        _memory.Clear();
        Array.Fill(_parts, []);
    }

    private Part[] Map(IPciDeviceBackend device, int bar, RegionArea? table, ILogger logger)
    {
        var index = (PciRegionIndex)bar;
        BackendRegion region = device.GetRegion(index);
        bool isUsable = region is { CanRead: true, CanWrite: true, MappableAreas.Count: > 0 };
        if (!isUsable || (table is { } place && !GuestRange.Fits(place.Offset, place.Length, region.Size)))
        {
            return [];
        }

        BarPlan plan = BarPlanner.Plan(new BarRequest
        {
            Size = region.Size,
            PageSize = (ulong)Environment.SystemPageSize,
            MappableAreas = region.MappableAreas,
            TableIsMappable = region.TableIsMappable,
            Table = table,
        });
        int before = _memory.Count;
        try
        {
            foreach (RegionArea area in plan.Mappings)
            {
                _memory.Add(device.Map(index, area, writable: true));
            }
        }
        catch (HostException e)
        {
            Log.BarNotMapped(logger, e, device.Name, bar);
            for (int i = _memory.Count - 1; i >= before; i--)
            {
                _memory[i].Dispose();
                _memory.RemoveAt(i);
            }

            return [];
        }

        return
        [
            .. from piece in plan.Pieces
               where piece.Kind == BarPieceKind.Mapped
               let skipped = piece.Offset - plan.Mappings[piece.Mapping].Offset
               select new Part(piece.Offset, piece.Length, new HostMemoryHandler(_memory[before + piece.Mapping], skipped)),
        ];
    }

    private readonly record struct Part(ulong Offset, ulong Length, IRegionHandler Handler);
}
