using System;
using System.Diagnostics.CodeAnalysis;

namespace Vmm.Virtio.Devices;

/// <summary>A back-end's path for one queue of a device: requests begin together, and their ends are fetched by the queue's worker.</summary>
/// <remarks>
/// <para>
/// Used by one thread at a time, so that it needs no lock, and no end has to cross threads. No method waits for a request or throws; what goes wrong
/// is a status.
/// </para>
/// <para>
/// A request belongs to the queue from <see cref="Submit"/> to its end, which is <see cref="TryReap"/>, or <see cref="BlockRequest.Complete"/> from
/// any thread; one of the two, once. When the device's queue is taken away with requests in flight, the worker goes on with <see cref="TryReap"/>
/// until <see cref="IsIdle"/>.
/// </para>
/// </remarks>
public interface IBlockQueue : IDisposable
{
    /// <summary>A descriptor that can be polled, and is readable while there is something to fetch.</summary>
    int Descriptor { get; }

    /// <summary>True if every request that was submitted has ended, and it may be disposed.</summary>
    bool IsIdle { get; }

    /// <summary>Takes a request, to begin at the latest with <see cref="Commit"/>. As many as the queue's size are in flight at most.</summary>
    /// <param name="request">The request.</param>
    void Submit(BlockRequest request);

    /// <summary>Begins what was submitted since the last call.</summary>
    void Commit();

    /// <summary>Fetches the end of a request, and goes on with those that have ended in part.</summary>
    /// <param name="request">The request, which is not the queue's any more.</param>
    /// <param name="status">How it went.</param>
    /// <returns>False if there is none now; the descriptor tells of the next.</returns>
    bool TryReap([NotNullWhen(true)] out BlockRequest? request, out BlockStatus status);

    /// <summary>Nobody hears of the results any more: what can be ended early is to end, with any status. Nothing is submitted after it.</summary>
    void Cancel();
}
