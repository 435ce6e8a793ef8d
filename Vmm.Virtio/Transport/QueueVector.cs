using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>The interrupt of one queue: which vector it means is looked up at each signal, so that remapping takes effect (VTP-11).</summary>
/// <remarks>
/// <see cref="GetEventFd"/> gives the eventfd of the table entry that the queue is mapped to at that time; after queue_msix_vector was
/// written, ask again.
/// </remarks>
internal sealed class QueueVector(TransportInterrupts interrupts) : IInterruptVector
{
    private int _vector = VirtioPciIds.NoVector;

    /// <summary>queue_msix_vector.</summary>
    public ushort Vector
    {
        get => (ushort)Volatile.Read(ref _vector);
        set => Volatile.Write(ref _vector, value);
    }

    public void Signal() => interrupts.SignalQueue(Vector);

    public EventFd GetEventFd() => interrupts.GetEventFd(Vector);
}
