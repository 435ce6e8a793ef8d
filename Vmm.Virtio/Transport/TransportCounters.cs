using System;
using System.Collections.Generic;
using System.Diagnostics.Metrics;
using System.Threading;

namespace Vmm.Virtio.Transport;

/// <summary>Counts what guests get wrong: for one function, and for all of them on the meter <c>Vmm.Virtio</c>.</summary>
internal sealed class TransportCounters
{
    private static readonly Meter Meter = new("Vmm.Virtio");
    private static readonly Counter<long> Mistakes = Meter.CreateCounter<long>(
        "vmm.virtio.guest_mistakes", "{mistake}", "What drivers did wrong on virtio functions; each was ignored");

    private static readonly string[] Names = Enum.GetNames<GuestMistake>();

    private readonly long[] _counts = new long[Names.Length];

    /// <summary>Counts one.</summary>
    public void Add(GuestMistake mistake)
    {
        Interlocked.Increment(ref _counts[(int)mistake]);
        if (Mistakes.Enabled)
        {
            Mistakes.Add(1, new KeyValuePair<string, object?>("mistake", Names[(int)mistake]));
        }
    }

    /// <summary>How many there were.</summary>
    public long Get(GuestMistake mistake) => Interlocked.Read(ref _counts[(int)mistake]);
}
