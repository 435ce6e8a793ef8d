using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Threading;

namespace Vmm.DeviceModel.Bus;

/// <summary>Shows the counters of all address spaces through the meter <c>Vmm.DeviceModel</c> (BUS-10).</summary>
/// <remarks>Observed, not added to: nothing happens on an access, and nobody is stopped when a listener looks.</remarks>
internal static class BusMetrics
{
    private static readonly Lock SpacesLock = new();
    private static readonly List<WeakReference<AddressSpace>> Spaces = [];
    private static readonly Meter Meter = CreateMeter();

    /// <summary>Shows a space from now on, as long as it lives.</summary>
    public static void Register(AddressSpace space)
    {
        lock (SpacesLock)
        {
            Spaces.RemoveAll(static space => !space.TryGetTarget(out _));
            Spaces.Add(new WeakReference<AddressSpace>(space));
        }
    }

    private static Meter CreateMeter()
    {
        var meter = new Meter("Vmm.DeviceModel");
        meter.CreateObservableCounter("vmm.bus.reads", static () => PerClaim(static c => c.Reads), "{access}", "Pieces read from a claim.");
        meter.CreateObservableCounter("vmm.bus.writes", static () => PerClaim(static c => c.Writes), "{access}", "Pieces written to a claim.");
        meter.CreateObservableCounter(
            "vmm.bus.unclaimed", static () => PerSpace(static s => s.UnclaimedCounters.Reads + s.UnclaimedCounters.Writes), "{access}",
            "Accesses that nobody claimed.");
        meter.CreateObservableCounter(
            "vmm.bus.faults", static () => PerSpace(static s => s.HandlerFaults), "{fault}", "Exceptions of devices that the bus stopped.");
        meter.CreateObservableCounter(
            "vmm.bus.doorbells_refused", static () => PerSpace(static s => s.RefusedDoorbells), "{doorbell}",
            "Doorbells that the hypervisor refused.");
        meter.CreateObservableCounter(
            "vmm.bus.slots_refused", static () => PerSpace(static s => s.RefusedSlots), "{slot}", "Memory slots that the hypervisor refused.");
        meter.CreateObservableCounter(
            "vmm.bus.rollbacks_failed", static () => PerSpace(static s => s.FailedRollbacks), "{registration}",
            "Registrations that could not be restored.");
        return meter;
    }

    private static List<AddressSpace> Living()
    {
        var living = new List<AddressSpace>();
        lock (SpacesLock)
        {
            foreach (WeakReference<AddressSpace> reference in Spaces)
            {
                if (reference.TryGetTarget(out AddressSpace? space))
                {
                    living.Add(space);
                }
            }
        }

        return living;
    }

    private static List<Measurement<long>> PerSpace(Func<AddressSpace, long> value)
    {
        var measurements = new List<Measurement<long>>();
        foreach (AddressSpace space in Living())
        {
            measurements.Add(new Measurement<long>(value(space), new KeyValuePair<string, object?>("space", space.Name)));
        }

        return measurements;
    }

    private static List<Measurement<long>> PerClaim(Func<ClaimCounters, long> value)
    {
        var measurements = new List<Measurement<long>>();
        foreach (AddressSpace space in Living())
        {
            foreach ((Claim claim, ClaimCounters counters) in space.SnapshotCounters())
            {
                measurements.Add(new Measurement<long>(
                    value(counters),
                    new KeyValuePair<string, object?>("space", space.Name),
                    new KeyValuePair<string, object?>("claim", claim.Name)));
            }
        }

        return measurements;
    }
}
