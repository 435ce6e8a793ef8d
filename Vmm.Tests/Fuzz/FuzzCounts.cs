using System;
using System.Globalization;
using System.Linq;
using System.Threading;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Fuzz;

/// <summary>How far the random driver got: without this a fuzzer that never starts a device would pass.</summary>
internal sealed class FuzzCounts
{
    public long Operations;
    public long Started;
    public long NeedsReset;
    public long Requests;
    public long Completed;
    public long Messages;
    public long BarMoves;
    public long Verified;
    public readonly long[] Mistakes = new long[Enum.GetValues<GuestMistake>().Length];

    public void Add(FuzzCounts other)
    {
        Operations += other.Operations;
        Started += other.Started;
        NeedsReset += other.NeedsReset;
        Requests += Volatile.Read(ref other.Requests);
        Completed += other.Completed;
        Messages += Volatile.Read(ref other.Messages);
        BarMoves += other.BarMoves;
        Verified += other.Verified;
        for (int i = 0; i < Mistakes.Length; i++)
        {
            Mistakes[i] += other.Mistakes[i];
        }
    }

    public override string ToString()
    {
        string mistakes = string.Join(
            ", ", Enum.GetValues<GuestMistake>().Select(m => string.Create(CultureInfo.InvariantCulture, $"{m} {Mistakes[(int)m]}")));
        return string.Create(
            CultureInfo.InvariantCulture,
            $"{Operations} operations: DRIVER_OK {Started} times, NEEDS_RESET {NeedsReset}, {Requests} requests at back-ends, "
            + $"{Completed} completions awaited and seen, {Messages} messages, {BarMoves} BAR moves, "
            + $"{Verified} functions verified; mistakes: {mistakes}");
    }
}
