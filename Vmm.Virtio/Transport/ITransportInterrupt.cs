using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The interrupt of one queue as its carrier makes it.</summary>
/// <remarks>vCPU threads map it at any time; <see cref="Open"/> and <see cref="Close"/> belong to the transition lock.</remarks>
internal interface ITransportInterrupt : IQueueInterrupt
{
    /// <summary>Maps the queue to a vector from now on; one that the carrier does not have unmaps it (VTP-11).</summary>
    /// <param name="vector">Index of a vector, or <see cref="VirtioPciIds.NoVector"/>.</param>
    /// <returns>False if the carrier has no such vector.</returns>
    bool TryMap(ushort vector);

    /// <summary>The queue is about to run: an eventfd may be asked for.</summary>
    void Open();

    /// <summary>The queue has stopped: tells what its eventfd was signalled before, and closes it.</summary>
    void Close();
}
