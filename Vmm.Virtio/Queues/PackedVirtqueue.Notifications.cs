using System.Threading;

namespace Vmm.Virtio.Queues;

/// <content>Who notifies whom, and when: the event suppression structures (virtio 1.2, 2.8.10).</content>
internal sealed unsafe partial class PackedVirtqueue
{
    private const uint EventEnable = 0;
    private const uint EventDisable = 1;
    private const uint EventDescriptor = 2;

    // Descriptors used since the driver's wish was looked at last.
    private uint _unsignalled;
    private bool _signalledUnknown;
    private bool _kicksDisabled;

    public override bool NeedsInterrupt()
    {
        uint count = _unsignalled;
        if ((count == 0 && !_signalledUnknown) || _descriptors is null)
        {
            return false;
        }

        // Full fence: our used descriptors are out before we look at what the driver asked for. Pairs with the driver's fence between writing
        // its event suppression and looking at the next used descriptor once more.
        Interlocked.MemoryBarrier();
        bool unknown = _signalledUnknown;
        uint wish = Volatile.Read(ref *(uint*)_driverEvent);
        _unsignalled = 0;
        _signalledUnknown = false;
        uint flags = (wish >> 16) & 3;
        if (flags == EventDisable)
        {
            return false;
        }

        if (unknown || flags != EventDescriptor || !_eventIndex)
        {
            return true;
        }

        long wanted = PlaceOf((ushort)wish);
        if (WrapOf((ushort)wish) != _usedWrap)
        {
            wanted -= Size;
        }

        // How many descriptors were used after the wanted one; negative if it is still to come.
        long after = _nextUsed - wanted - 1;
        return after >= 0 && after < count;
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
