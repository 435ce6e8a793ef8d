using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Tests.Fuzz;

/// <summary>What a fuzzed machine stands on: the spaces and what is behind them.</summary>
internal sealed class FuzzPlatform : IDisposable
{
    private readonly Action _dispose;

    private FuzzPlatform(
        AddressSpace memory, AddressSpace ports, FuzzSeams seams, IMsiSink sink, int ramRegions, FuzzErrors logger, FuzzCounts counts, Action dispose)
    {
        (Memory, Ports, Seams, MsiSink, RamRegions, Logger, Counts, _dispose) = (memory, ports, seams, sink, ramRegions, logger, counts, dispose);
    }

    public AddressSpace Memory { get; }

    public AddressSpace Ports { get; }

    /// <summary>Lines and messages, and in process the slots and doorbells too.</summary>
    public FuzzSeams Seams { get; }

    public IMsiSink MsiSink { get; }

    /// <summary>How many regions of <see cref="FuzzRam.Layout"/> there are.</summary>
    public int RamRegions { get; }

    /// <summary>What was logged as an error.</summary>
    public FuzzErrors Logger { get; }

    public FuzzCounts Counts { get; }

    /// <summary>No hypervisor: every access is dispatched.</summary>
    public static FuzzPlatform InProcess(FuzzOptions options)
    {
        var counts = new FuzzCounts();
        var logger = new FuzzErrors();
        var seams = new FuzzSeams(options.Seed, counts);
        var domain = new AccessDomain(logger);
        var memory = new AddressSpace(new AddressSpaceOptions { Domain = domain, MemorySlots = seams, Doorbells = seams, LoggerFactory = logger });
        var ports = new AddressSpace(
            new AddressSpaceOptions { Kind = AddressSpaceKind.Port, Name = "ports", Domain = domain, Doorbells = seams, LoggerFactory = logger });
        return new FuzzPlatform(memory, ports, seams, seams, FuzzRam.Layout.Length, logger, counts, static () => { });
    }

    /// <summary>Spaces of a machine that exists.</summary>
    public static FuzzPlatform Over(
        AddressSpace memory, AddressSpace ports, FuzzOptions options, Func<FuzzSeams, IMsiSink> sink, FuzzErrors logger, Action dispose)
    {
        var counts = new FuzzCounts();
        var seams = new FuzzSeams(options.Seed, counts);

        // The last region ends where the 64-bit address space does, which no processor reaches.
        return new FuzzPlatform(memory, ports, seams, sink(seams), FuzzRam.Layout.Length - 1, logger, counts, dispose);
    }

    public void Dispose() => _dispose();
}
