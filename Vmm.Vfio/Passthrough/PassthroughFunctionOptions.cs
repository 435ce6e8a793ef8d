using System;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Vmm.Pci.Access;

namespace Vmm.Vfio.Passthrough;

/// <summary>How a <see cref="PassthroughFunction"/> gives its device to the guest.</summary>
public sealed record PassthroughFunctionOptions
{
    /// <summary>Shown in logs; the back-end's name without it.</summary>
    public string? Name { get; init; }

    /// <summary>Gives the guest mappings of the device's pages; without, every access exits.</summary>
    public bool MapBars { get; init; } = true;

    /// <summary>Maps the BARs' mapped parts for DMA of the devices that share the mapper, as far as that works (VFIO-11).</summary>
    public bool PeerToPeer { get; init; }

    /// <summary>
    /// Adds the capability that says which GPUs reach each other directly: a clique's number from 0 to 15, or null. The BARs are then mapped as with
    /// <see cref="PeerToPeer"/>; the members of a clique share one mapper, which whoever puts the machine together sees to.
    /// </summary>
    public int? GpuDirectClique { get; init; }

    /// <summary>Ranges of BARs that the guest must not reach by a mapping, by BAR; they lie inside it.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<RegionArea>> TrappedRanges { get; init; } = new Dictionary<int, IReadOnlyList<RegionArea>>();

    /// <summary>
    /// The device reported an uncorrectable error (VFIO-12). Runs on the function's worker; it may stop the machine, but must not dispose the
    /// function.
    /// </summary>
    public Action<PassthroughFunction>? ErrorReported { get; init; }

    /// <summary>
    /// The host wants the device back: have another thread take the function off its bus and dispose it. Runs on the function's worker, possibly
    /// again and again.
    /// </summary>
    public Action<PassthroughFunction>? RemovalRequested { get; init; }

    /// <summary>Where the function logs; nothing is logged without it.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
