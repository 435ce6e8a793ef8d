using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>Accesses that are not one aligned piece of one claim, and what goes wrong.</summary>
public sealed partial class AddressSpace
{
    /// <summary>Reads piece by piece: each naturally aligned in its claim and inside it (BUS-3, BUS-4). The calling thread is inside.</summary>
    /// <param name="slot">The calling thread's.</param>
    /// <param name="address">First byte.</param>
    /// <param name="width">1 to 8.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private ulong ReadPieces(AccessSlot slot, ulong address, int width)
    {
        FlatView view = Renew(slot, out long sequence);
        ulong value = 0;
        int done = 0;
        while (done < width)
        {
            ulong at = address + (uint)done;
            if (at < address)
            {
                // Past the top of the address space there is nothing, and not its bottom either.
                int rest = width - done;
                ReportUnclaimed(slot, at, rest, isWrite: false, 0);
                return value | (AccessWidth.Mask(rest) << (done * 8));
            }

            FlatSegment segment = view.Find(at);
            int piece;
            ulong part;
            if (segment.Claim is not null)
            {
                piece = PieceWidth(at - segment.Base, width - done, segment.Last - at);
                slot.Count(segment.Counter);
                part = segment.Claim.BlockingCalls is { } calls
                    ? ReadBlocking(slot, calls, segment, at - segment.Base, piece)
                    : CallRead(segment, at - segment.Base, piece);
                view = slot.Sequence == sequence ? view : Renew(slot, out sequence);
            }
            else
            {
                piece = RunWidth(width - done, segment.Last - at);
                part = AccessWidth.Mask(piece);
                ReportUnclaimed(slot, at, piece, isWrite: false, 0);
            }

            value |= part << (done * 8);
            done += piece;
        }

        return value;
    }

    /// <summary>Writes piece by piece, as <see cref="ReadPieces"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void WritePieces(AccessSlot slot, ulong address, int width, ulong value)
    {
        FlatView view = Renew(slot, out long sequence);
        int done = 0;
        while (done < width)
        {
            ulong at = address + (uint)done;
            ulong rest = value >> (done * 8);
            if (at < address)
            {
                ReportUnclaimed(slot, at, width - done, isWrite: true, rest & AccessWidth.Mask(width - done));
                return;
            }

            FlatSegment segment = view.Find(at);
            int piece;
            if (segment.Claim is not null)
            {
                piece = PieceWidth(at - segment.Base, width - done, segment.Last - at);
                slot.Count(segment.Counter + 1);
                if (segment.Claim.BlockingCalls is { } calls)
                {
                    WriteBlocking(slot, calls, segment, at - segment.Base, piece, rest);
                }
                else
                {
                    CallWrite(segment, at - segment.Base, piece, rest);
                }

                view = slot.Sequence == sequence ? view : Renew(slot, out sequence);
            }
            else
            {
                piece = RunWidth(width - done, segment.Last - at);
                ReportUnclaimed(slot, at, piece, isWrite: true, rest & AccessWidth.Mask(piece));
            }

            done += piece;
        }
    }

    /// <summary>The view for an access, or for the rest of one whose thread has left the epoch for a handler that waits, and come back.</summary>
    /// <param name="slot">The calling thread's.</param>
    /// <param name="sequence">Where the thread is: the same for as long as the view may be used.</param>
    private FlatView Renew(AccessSlot slot, out long sequence)
    {
        sequence = slot.Sequence;
        return _view;
    }

    /// <summary>Reads piece by piece inside another stay in the epoch, which relies on it: no handler leaves.</summary>
    private ulong ReadNested(AccessSlot slot, ulong address, int width)
    {
        slot.Nesting++;
        ulong value = ReadPieces(slot, address, width);
        slot.Nesting--;
        return value;
    }

    /// <summary>As <see cref="ReadNested"/>.</summary>
    private void WriteNested(AccessSlot slot, ulong address, int width, ulong value)
    {
        slot.Nesting++;
        WritePieces(slot, address, width, value);
        slot.Nesting--;
    }

    /// <summary>Calls a handler that may wait.</summary>
    private static ulong ReadBlocking(AccessSlot slot, BlockingCalls calls, FlatSegment segment, ulong offset, int width)
    {
        using BlockingScope scope = slot.Block(calls);
        return CallRead(segment, offset, width);
    }

    /// <summary>As <see cref="ReadBlocking"/>.</summary>
    private static void WriteBlocking(AccessSlot slot, BlockingCalls calls, FlatSegment segment, ulong offset, int width, ulong value)
    {
        using BlockingScope scope = slot.Block(calls);
        CallWrite(segment, offset, width, value);
    }

    /// <summary>Calls the handler; its exceptions end here. Kept apart so that the caller's variables can stay in registers.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong CallRead(FlatSegment segment, ulong offset, int width)
    {
        try
        {
            return segment.Handler!.Read(offset, width) & AccessWidth.Mask(width);
        }
        catch (Exception exception)
        {
            segment.Space!.Fault(segment.Handler!, segment.Claim!, offset, exception);
            return AccessWidth.Mask(width);
        }
    }

    /// <summary>As <see cref="CallRead"/>.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CallWrite(FlatSegment segment, ulong offset, int width, ulong value)
    {
        try
        {
            segment.Handler!.Write(offset, width, value & AccessWidth.Mask(width));
        }
        catch (Exception exception)
        {
            segment.Space!.Fault(segment.Handler!, segment.Claim!, offset, exception);
        }
    }

    /// <summary>The largest of 1, 2, 4, 8 that fits the rest of the access and of the segment and divides the offset.</summary>
    private static int PieceWidth(ulong offset, int rest, ulong following)
    {
        int fits = RunWidth(rest, following);
        int piece = 1 << BitOperations.Log2((uint)fits);
        while ((offset & (uint)(piece - 1)) != 0)
        {
            piece >>= 1;
        }

        return piece;
    }

    private static int RunWidth(int rest, ulong following)
    {
        return following < (uint)rest ? (int)following + 1 : rest;
    }

    /// <summary>
    /// Stops a handler's exception: unless the handler knows whose it is, from now on all-ones stand in for it, everywhere the claim is visible
    /// (BUS-8).
    /// </summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Fault(IRegionHandler handler, Claim claim, ulong offset, Exception exception)
    {
        if (handler is IFaultContainment container && container.TryContain(offset, exception))
        {
            return;
        }

        Interlocked.Increment(ref _handlerFaults);
        if (claim.TryMarkFaulted())
        {
            Log.HandlerFaulted(_logger, exception, Name, claim.Name, offset);
        }

        // A view that is being built meanwhile has either seen the mark, or is looked at again after it was published.
        _view.ReplaceHandler(claim, FaultedHandler.Instance);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ReportUnclaimed(AccessSlot slot, ulong address, int width, bool isWrite, ulong value)
    {
        slot.Count(_unclaimedCounter + (isWrite ? 1 : 0));
        if (!_unclaimedReports.TryTake(out long suppressed))
        {
            return;
        }

        if (_unclaimedSink is not null)
        {
            try
            {
                _unclaimedSink.OnUnclaimed(new UnclaimedAccess(this, address, width, isWrite, value, suppressed));
            }
            catch (Exception exception)
            {
                Log.UnclaimedSinkFailed(_logger, exception, Name);
            }
        }
        else if (isWrite)
        {
            Log.UnclaimedWrite(_logger, Name, width, value, address, suppressed);
        }
        else
        {
            Log.UnclaimedRead(_logger, Name, width, address, suppressed);
        }
    }
}
