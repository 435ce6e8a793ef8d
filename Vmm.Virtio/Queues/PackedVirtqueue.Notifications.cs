using System.Runtime.CompilerServices;
using System.Threading;

namespace Vmm.Virtio.Queues;

/// <content>Who notifies whom, and when: the event suppression structures (virtio 1.2, 2.8.10).</content>
internal sealed unsafe partial class PackedVirtqueue
{
    private const uint EventEnable = 0;
    private const uint EventDisable = 1;
    private const uint EventDescriptor = 2;

    // Descriptors used since the driver's wish was looked at last.
    private ulong _unsignalled;
    private bool _signalledUnknown;
    private bool _kicksDisabled;
    private int _fence;

    /// <summary>Without a virtual call, for <see cref="Virtqueue.NeedsInterrupt"/>.</summary>
    /// <remarks>
    /// A look that is not behind a fence may see the past. If it says that an interrupt is wanted, that is good enough: one too many does no
    /// harm. Only "not wanted" is asked again after a full fence: our used descriptors are out before we look at what the driver asked for. Pairs
    /// with the driver's fence between writing its event suppression and looking at the next used descriptor once more.
    /// </remarks>
    internal bool NeedsInterruptHere()
    {
        ulong count = _unsignalled;
        if ((count == 0 && !_signalledUnknown) || _descriptors is null)
        {
            return false;
        }

        _unsignalled = 0;
        if (IsWanted(count))
        {
            _signalledUnknown = false;
            return true;
        }

        // An exchange with a word of our own: a memory barrier of the runtime locks the top of the stack, which what follows reads.
        _ = Interlocked.Exchange(ref _fence, 0);
        bool wanted = IsWanted(count);
        _signalledUnknown = false;
        return wanted;
    }

    /// <summary>Whether the driver's wish, as it is now, is among the descriptors that were used last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsWanted(ulong count)
    {
        uint wish = Volatile.Read(ref *(uint*)_driverEvent);
        uint flags = (wish >> 16) & 3;
        if (flags != EventDescriptor || !_eventIndex || _signalledUnknown)
        {
            return flags != EventDisable;
        }

        long wanted = PlaceOf((ushort)wish);
        if (WrapOf((ushort)wish) != _usedWrap)
        {
            wanted -= Size;
        }

        // How many descriptors were used after the wanted one; if it is still to come, more than there can be.
        return (ulong)(_nextUsed - wanted - 1) < count;
    }

    public override void DisableKicks()
    {
        if (!_kicksDisabled && _deviceEvent is not null)
        {
            _kicksDisabled = true;
            WriteDeviceEvent(EventDisable << 16);
        }
    }

    public override bool EnableKicksAndCheckForMore()
    {
        if (_descriptors is null || IsBroken || !Dma.Enabled)
        {
            return false;
        }

        // Place and flags are one aligned word, so that the driver never sees a new one beside an old one.
        _kicksDisabled = false;
        uint wish = _eventIndex ? Mark(_nextAvailable, _availableWrap) | (EventDescriptor << 16) : EventEnable << 16;
        WriteDeviceEvent(wish);

        // Full fence: our request is out before we look at the next descriptor once more. Pairs with the driver's fence between making a
        // descriptor available and looking at the device's event suppression.
        Interlocked.MemoryBarrier();
        return IsNextAvailable();
    }

    private void WriteDeviceEvent(uint wish)
    {
        Volatile.Write(ref *(uint*)_deviceEvent, wish);
        if (View.Tracker is not null)
        {
            View.MarkDirty(_deviceEvent, EventLength);
        }
    }
}
