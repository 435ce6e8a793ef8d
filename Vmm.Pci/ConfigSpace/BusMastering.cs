using System;
using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.Pci.ConfigSpace;

/// <summary>Whether a function may use DMA and send messages, as it was applied last (PCI-8). The device's DMA follows it.</summary>
/// <param name="dma">The memory that the device masters, or null.</param>
/// <param name="evaluate">Says from the registers of now whether the function may.</param>
internal sealed class BusMastering(DmaTarget? dma, Func<bool> evaluate)
{
    private readonly Lock _lock = new();
    private volatile bool _isAllowed;

    public bool IsAllowed => _isAllowed;

    /// <summary>Follows the registers. Of two changes that race the later call has the last word.</summary>
    /// <returns>True if it changed; whoever depends on it is told then.</returns>
    public bool Apply()
    {
        lock (_lock)
        {
            bool now = evaluate();
            bool changed = now != _isAllowed;
            _isAllowed = now;
            if (dma is not null)
            {
                dma.Enabled = now;
            }

            return changed;
        }
    }
}
