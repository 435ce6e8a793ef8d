using System.Runtime.CompilerServices;
using System.Threading;

namespace Vmm.Virtio.Queues;

/// <content>Who notifies whom, and when: flags (virtio 1.2, 2.7.7) and event indices (2.7.10).</content>
internal sealed unsafe partial class SplitVirtqueue
{
    private const ushort AvailableNoInterrupt = 1;
    private const ushort UsedNoNotify = 1;

    // The value of _nextUsed when the driver's wish was looked at last.
    private uint _signalledUsed;
    private bool _signalledUnknown;

    // The driver says by its flag alone whether it wants an interrupt, and the ring is there to be looked at.
    private bool _asksByFlag;
    private int _fence;

    /// <summary>Without a virtual call, for <see cref="Virtqueue.NeedsInterrupt"/>.</summary>
    /// <remarks>
    /// A look at the flag that is not behind a fence may see the past. If it says that an interrupt is wanted, that is good enough: one too many does
    /// no harm. Only "not wanted" is asked again after a fence. An event index mostly says "not wanted": there the fence comes at once.
    /// </remarks>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    internal bool NeedsInterruptHere()
    {
        uint now = _nextUsed;
        if (_asksByFlag && _signalledUsed != now && !SaysNoInterrupt())
        {
            _signalledUsed = now;
            return true;
        }

        return AskDriver();
    }

    public override void DisableKicks()
    {
        // With event indices there is nothing to write: avail_event stays where the driver has passed it already.
        if (!_eventIndex && _used is not null)
        {
            *(ushort*)_used = UsedNoNotify;
            MarkUsedDirty(0, sizeof(ushort));
        }
    }

    public override bool EnableKicksAndCheckForMore()
    {
        if (_used is null || IsBroken || !Dma.Enabled)
        {
            return false;
        }

        uint place = _eventIndex ? 4 + (8u * Size) : 0;
        *(ushort*)(_used + place) = _eventIndex ? (ushort)_nextAvailable : (ushort)0;
        MarkUsedDirty(place, sizeof(ushort));

        // Full fence: our request is out before we look at avail.idx once more. Pairs with the driver's fence between publishing avail.idx
        // and looking at avail_event (or NO_NOTIFY).
        Interlocked.MemoryBarrier();
        return (ushort)_nextAvailable != *(ushort*)(_available + 2);
    }

    /// <summary>Asks for what was used since the last question, behind a fence.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private bool AskDriver()
    {
        uint now = _nextUsed;
        uint added = now - _signalledUsed;
        if ((added == 0 && !_signalledUnknown) || _used is null)
        {
            return false;
        }

        // Full fence: our used.idx is out before we look at what the driver asked for. Pairs with the driver's fence between writing
        // used_event (or clearing NO_INTERRUPT) and looking at used.idx once more. On a word of our own, since a memory barrier of the runtime locks
        // the top of the stack, which what follows reads.
        _signalledUsed = now;
        _ = Interlocked.Exchange(ref _fence, 0);
        if (!_signalledUnknown)
        {
            return _eventIndex ? IsEventAmong(now, added) : !SaysNoInterrupt();
        }

        _signalledUnknown = false;
        ChooseQuestion();
        return _eventIndex || !SaysNoInterrupt();
    }

    private void ChooseQuestion() => _asksByFlag = _used is not null && !_eventIndex && !_signalledUnknown;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool SaysNoInterrupt() => (Volatile.Read(ref *(ushort*)_available) & AvailableNoInterrupt) != 0;

    /// <summary>Whether the entry with the event's number is one of the last that were used; more than a lap of numbers counts as a lap.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private bool IsEventAmong(uint now, uint added)
    {
        uint behind = (ushort)(now - Volatile.Read(ref *(ushort*)(_available + 4 + (2 * (nuint)Size))) - 1);
        return behind < added;
    }
}
