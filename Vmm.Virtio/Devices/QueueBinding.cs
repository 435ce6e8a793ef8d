using System;
using Vmm.DeviceModel.Events;

namespace Vmm.Virtio.Devices;

/// <summary>The surroundings of a <see cref="QueueHandler"/>: its kick, its transport, its limit.</summary>
/// <param name="Kick">The driver's notifications.</param>
/// <param name="Host">Where a broken ring is reported.</param>
/// <param name="Detached">Requests that former queues of the device left behind.</param>
/// <param name="StopLimit">How long a stop waits for what is in flight.</param>
/// <param name="OnDetached">Told of a handler that leaves requests behind.</param>
/// <param name="OnLateFailure">Told of an exception of a handler whose queue was taken away, on the worker.</param>
internal sealed record QueueBinding(
    EventFd Kick,
    IVirtioDeviceHost Host,
    DetachedRequests Detached,
    TimeSpan StopLimit,
    Action<QueueHandler> OnDetached,
    Action<QueueHandler, Exception> OnLateFailure);
