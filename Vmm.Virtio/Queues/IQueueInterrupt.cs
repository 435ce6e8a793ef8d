using Vmm.DeviceModel.Interrupts;

namespace Vmm.Virtio.Queues;

/// <summary>The used buffer notification of one running queue, however the driver wants to be told of it (CON-1).</summary>
/// <remarks>
/// <para>
/// Either way of signalling serves all modes: the transport follows the driver, who maps the queue to another vector, masks it, or switches between
/// messages and the pin, at any time. Nothing that was signalled is lost by that: it is delivered, or kept in the pending bit of a masked vector.
/// </para>
/// <para>
/// <see cref="IInterruptVector.GetEventFd"/> gives the same eventfd until the queue has stopped, which closes it: what was signalled before is told,
/// a signal that comes later reaches nobody. It throws a <see cref="Vmm.DeviceModel.HostException"/> if the process is out of descriptors or
/// threads, and an <see cref="System.InvalidOperationException"/> if the queue does not run.
/// </para>
/// </remarks>
public interface IQueueInterrupt : IInterruptVector;
