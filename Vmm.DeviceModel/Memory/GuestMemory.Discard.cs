using System;
using System.Threading;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Memory;

/// <content>Pages that the guest does not use go back to the host.</content>
public sealed unsafe partial class GuestMemory
{
    // Listeners there are, or are about to be: their devices go on with the pages that they were given.
    private int _listening;

    /// <summary>
    /// Gives pages back to the host: they read as zero, or as whatever file they came from, until they are touched again, which is always allowed.
    /// Enters the domain itself; callable from any thread, also from a region's handler.
    /// </summary>
    /// <param name="address">Guest-physical address, a multiple of the host's page size.</param>
    /// <param name="length">Bytes, whole pages.</param>
    /// <returns>
    /// False if some of the bytes are not RAM, or are not whole pages; if they lie in huge pages that were reserved, or in memory that somebody else
    /// gave; or while a listener has the memory mapped for a device or another process. Nothing is given back then, or a part of it.
    /// </returns>
    public bool TryDiscard(ulong address, ulong length)
    {
        using AccessDomain.ReadScope scope = Domain.Enter();
        GuestMemoryMap map = Current;
        ulong page = (ulong)Environment.SystemPageSize;
        if (Volatile.Read(ref _listening) != 0 || ((address | length) & (page - 1)) != 0 || !map.Contains(address, length))
        {
            return false;
        }

        ulong start = address;
        bool done = true;
        for (ulong left = length; left > 0 && done;)
        {
            done = map.TryDiscard(address, left, out ulong run);
            address += run;
            left -= run;
        }

        DirtyTracker?.MarkDirty(start, length);
        return done;
    }

    /// <summary>As <see cref="TryDiscard"/>, for bytes of one region that were resolved in the scope that the caller is in.</summary>
    internal bool TryDiscardResolved(nint host, ulong length)
    {
        foreach (GuestMemoryRegion region in Current.Regions)
        {
            ulong offset = (ulong)((byte*)host - region.Host);
            if (offset < region.Length)
            {
                return TryDiscard(region.Address + offset, length);
            }
        }

        return false;
    }

    /// <summary>Lets nobody discard pages any more who has not begun. Outside of the domain.</summary>
    private void StopDiscarding()
    {
        Interlocked.Increment(ref _listening);
        Domain.Synchronize();
    }

    private void GoOnDiscarding() => Interlocked.Decrement(ref _listening);
}
