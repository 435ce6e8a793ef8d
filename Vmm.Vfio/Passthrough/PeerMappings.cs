using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// Lets other devices reach the mapped parts of a function's BARs where the guest has put them, as far as the host can do that (VFIO-11).
/// Trapped parts are never mapped.
/// </summary>
/// <remarks>Called under the mapping lock of the function's hierarchy; the mapper's own lock comes below it.</remarks>
internal sealed class PeerMappings
{
    private readonly PassthroughFunction _function;
    private readonly IDmaMapper _mapper;
    private readonly ILogger _logger;
    private readonly List<Part> _parts = [];
    private readonly TokenBucket _reports = new(burst: 3);
    private int _mapped;
    private long _refused;

    public PeerMappings(PassthroughFunction function, IDmaMapper mapper, ILogger logger)
    {
        (_function, _mapper, _logger) = (function, mapper, logger);
        foreach (PciBar bar in function.Bars)
        {
            foreach (PciBarRegion region in bar.Regions)
            {
                if (region.Memory is not null)
                {
                    _parts.Add(new Part(bar.Index, region));
                }
            }
        }
    }

    /// <summary>How many parts are mapped.</summary>
    public int Count => Volatile.Read(ref _mapped);

    /// <summary>How many mappings were refused.</summary>
    public long Refused => Volatile.Read(ref _refused);

    /// <summary>
    /// Has the mappings follow where the BARs decode: first what has gone, then what has come, since one may be where the other was.
    /// </summary>
    public void Refresh()
    {
        foreach (Part part in _parts)
        {
            if (part.MappedAt is { } at && at != part.Wanted(_function))
            {
                Unmap(part, at);
            }
        }

        foreach (Part part in _parts)
        {
            // What was refused at an address is not tried there again.
            ulong? wanted = part.Wanted(_function);
            if (wanted is { } address && part.MappedAt is null && part.RefusedAt != wanted)
            {
                Map(part, address);
            }
            else if (wanted is null)
            {
                part.RefusedAt = null;
            }
        }
    }

    private void Map(Part part, ulong address)
    {
        try
        {
            _mapper.Map(address, part.Region.Memory!, part.Region.MemoryOffset, part.Region.Length, !part.Region.ReadOnly);
            part.MappedAt = address;
            part.RefusedAt = null;
            Interlocked.Increment(ref _mapped);
        }
        catch (HostException e)
        {
            part.RefusedAt = address;
            Interlocked.Increment(ref _refused);
            if (_reports.TryTake(out _))
            {
                Log.PeerMappingRefused(_logger, e, _function.Name, part.Bar, address);
            }
        }
    }

    private void Unmap(Part part, ulong address)
    {
        part.MappedAt = null;
        Interlocked.Decrement(ref _mapped);
        try
        {
            _mapper.Unmap(address, part.Region.Length);
        }
        catch (HostException e)
        {
            if (_reports.TryTake(out _))
            {
                Log.ReleaseFailed(_logger, e, _function.Name, "unmapping a BAR from other devices");
            }
        }
    }

    private sealed class Part(int bar, PciBarRegion region)
    {
        public int Bar => bar;

        public PciBarRegion Region => region;

        public ulong? MappedAt { get; set; }

        public ulong? RefusedAt { get; set; }

        public ulong? Wanted(PassthroughFunction function) => function.GetMappedAddress(bar) + region.Offset;
    }
}
