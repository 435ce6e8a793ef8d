using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance.Devices;
using Vmm.Conformance.Pci;
using Vmm.Conformance.Rings;
using Vmm.Conformance.Transport;

namespace Vmm.Conformance;

/// <summary>All checks, by subject.</summary>
public static class CheckCatalogue
{
    /// <summary>The tables in the order in which they run.</summary>
    public static IReadOnlyList<CheckGroup> Groups { get; } =
    [
        HeaderChecks.Group,
        CommandChecks.Group,
        BarChecks.Group,
        DecodingChecks.Group,
        CapabilityChecks.Group,
        MsixStructureChecks.Group,
        MsixDeliveryChecks.Group,
        PinChecks.Group,
        PowerChecks.Group,
        IdentityChecks.Group,
        StructureChecks.Group,
        CommonChecks.Group,
        FeatureChecks.Group,
        StatusChecks.Group,
        ResetChecks.Group,
        QueueResetChecks.Group,
        VectorChecks.Group,
        InterruptChecks.Group,
        WindowChecks.Group,
        ConfigurationChecks.Group,
        RingChecks.Split,
        SplitRingChecks.Group,
        RingChecks.PackedRings,
        PackedRingChecks.Group,
        BlockChecks.Group,
        NetChecks.Group,
        StreamChecks.Group,
    ];

    /// <summary>Every check in order.</summary>
    public static IReadOnlyList<Check> All { get; } = [.. Groups.SelectMany(static group => group)];

    /// <summary>The check with an id, or null.</summary>
    /// <param name="id">The id, in any case.</param>
    public static Check? Find(string id) => All.FirstOrDefault(check => string.Equals(check.Id, id, StringComparison.OrdinalIgnoreCase));

    /// <summary>The table that a check is in, or null for one that is not of the catalogue.</summary>
    /// <param name="check">The check.</param>
    public static CheckGroup? GroupOf(Check check) => Groups.FirstOrDefault(group => group.Contains(check));
}
