using System;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>All that the transport knows of what carries it: a PCI function, or anything else that has registers, notifications and interrupts.</summary>
internal interface ITransportHost
{
    /// <summary>What rings and buffers are reached by.</summary>
    DmaTarget Dma { get; }

    /// <summary>The vector of configuration changes; <see cref="VirtioPciIds.NoVector"/> for none.</summary>
    ushort ConfigurationVector { get; }

    /// <summary>Whether an event can be mapped to a vector; true of <see cref="VirtioPciIds.NoVector"/>.</summary>
    bool HasVector(ushort vector);

    /// <summary>Makes the interrupt of a queue, mapped to no vector. Once for each queue.</summary>
    ITransportInterrupt CreateQueueInterrupt();

    /// <summary>As <see cref="ITransportInterrupt.TryMap"/>, for configuration changes.</summary>
    bool TryMapConfiguration(ushort vector);

    /// <summary>Configuration or status has changed. Callable from any thread; never throws or waits.</summary>
    void SignalConfiguration();

    /// <summary>Drops interrupts that were signalled and not delivered yet. Every queue has stopped.</summary>
    void ClearInterrupts();

    /// <summary>Runs an effect when the guest access that the calling thread is inside of has ended, or at once.</summary>
    void RunAfterAccess(Action effect);

    /// <summary>Makes notifications of a queue signal its eventfd without an exit.</summary>
    /// <param name="queue">Queue index.</param>
    /// <param name="kick">The eventfd to signal.</param>
    /// <param name="width">Bytes of a notification by the negotiated features: 2, or 4 with VIRTIO_F_NOTIFICATION_DATA.</param>
    void AddDoorbell(int queue, EventFd kick, int width);

    /// <summary>Undoes <see cref="AddDoorbell"/>; nothing happens without it.</summary>
    void RemoveDoorbell(int queue);
}
