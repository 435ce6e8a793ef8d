using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.Virtio.Transport;

/// <summary>What the transport needs of the PCI function that carries it.</summary>
internal interface ITransportHost
{
    /// <summary>What rings and buffers are reached by.</summary>
    DmaTarget Dma { get; }

    /// <summary>Runs an effect when the guest access that the calling thread is inside of has ended, or at once.</summary>
    void RunAfterAccess(Action effect);

    /// <summary>Makes writes to a queue's notify address signal its eventfd without an exit.</summary>
    void AddDoorbell(QueueRegisters queue);

    /// <summary>Undoes <see cref="AddDoorbell"/>; nothing happens without it.</summary>
    void RemoveDoorbell(QueueRegisters queue);

    /// <summary>Drops interrupts that were signalled and not delivered yet.</summary>
    void ClearPendingInterrupts();
}
