using System;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Pci.Bars;

/// <summary>A doorbell that a device wants over a region of one of its BARs, whether or not the BAR decodes now.</summary>
internal sealed class BarDoorbell(
    BarMapper mapper,
    BarMapping mapping,
    PciBarRegion region,
    string name,
    ulong offset,
    int width,
    EventFd target,
    ulong? dataMatch) : IDisposable
{
    private int _removed;

    public PciBarRegion Region => region;

    public bool IsRemoved => Volatile.Read(ref _removed) != 0;

    /// <summary>The claim while the function is on a bus; made under the mapping lock.</summary>
    public DoorbellClaim? Claim { get; set; }

    /// <summary>True while the claim is in the address space.</summary>
    public bool IsRegistered { get; set; }

    public DoorbellClaim CreateClaim(HandlerClaim over)
    {
        return Claim = new DoorbellClaim($"{over.Name} {name}", over, offset, width, target, dataMatch);
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _removed, 1) == 0)
        {
            // Where the function is on no bus nothing is registered either.
            mapper.Schedule();
            mapping.ForgetIfIdle(this);
        }
    }
}
