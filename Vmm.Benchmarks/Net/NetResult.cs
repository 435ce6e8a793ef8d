namespace Vmm.Benchmarks.Net;

/// <summary>The cost of one kind of packet in one direction; times are nanoseconds of the processor a packet.</summary>
internal sealed record NetResult
{
    /// <summary>Direction and size of the packets.</summary>
    public required string Name { get; init; }

    /// <summary>The card's worker, lower quartile.</summary>
    public required double Ours { get; init; }

    /// <summary>The card's worker, best sample.</summary>
    public required double OursMinimum { get; init; }

    /// <summary>A C loop of a system call a packet.</summary>
    public required double CallEach { get; init; }

    /// <summary>A C loop of an io_uring with 64 packets a system call.</summary>
    public required double Batches { get; init; }

    /// <summary>Packets a second through the card, the driver in this process included.</summary>
    public required double PacketsPerSecond { get; init; }
}
