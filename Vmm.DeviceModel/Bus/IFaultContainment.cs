using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>A handler that stands for several devices, so that an exception of one must not take the others out of service (BUS-8).</summary>
public interface IFaultContainment
{
    /// <summary>
    /// Read or Write threw. Called on the thread of the access, which then reads all-ones; must not throw. What it takes upon itself neither
    /// marks the claim as faulted nor counts among <see cref="AddressSpace.HandlerFaults"/>.
    /// </summary>
    /// <param name="offset">Byte offset of the access in the region.</param>
    /// <param name="failure">The exception.</param>
    /// <returns>False for a failure that belongs to no device: the claim faults.</returns>
    bool TryContain(ulong offset, Exception failure);
}
