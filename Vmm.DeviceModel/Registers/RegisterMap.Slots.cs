using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.DeviceModel.Registers;

/// <content>Accesses that are not a whole single register: array elements, halves, lanes, gaps.</content>
public sealed partial class RegisterMap<TDevice>
{
    /// <summary>The key of what no whole access matches: no offset inside a block is that high.</summary>
    private const ulong NoKey = ulong.MaxValue;

    /// <summary>Offset and width in one, to be compared at once.</summary>
    private static ulong KeyOf(uint offset, int width) => ((ulong)(uint)width << 32) | offset;

    private ulong ReadOther(TDevice device, ulong offset, int width)
    {
        if (_policy == RegisterPolicy.Lanes)
        {
            return ReadLanes(device, offset, width);
        }

        if (_policy == RegisterPolicy.Bytes && width != 1)
        {
            return ReadBytes(device, offset, width);
        }

        byte[] slots = _slotByOffset;
        if (offset < (ulong)slots.Length && slots[offset] is not 0 and byte number)
        {
            ref readonly Slot slot = ref _slots[number];
            int index = slot.IndexOf((int)offset);
            int within = slot.OffsetIn((int)offset, index);
            if (within == 0 && width == slot.Info.Width)
            {
                return slot.ReadElement(device, index);
            }

            if (slot.Info.Width == 8 && width == 4 && within is 0 or 4 && slot.Info.Access != RegisterAccess.ReadSideEffect)
            {
                return (slot.ReadElement(device, index) >> (within * 8)) & uint.MaxValue;
            }
        }

        return _gap & AccessWidth.Mask(width);
    }

    private void WriteOther(TDevice device, ulong offset, int width, ulong value)
    {
        value &= AccessWidth.Mask(width);
        if (_policy == RegisterPolicy.Lanes)
        {
            WriteLanes(device, offset, width, value);
            return;
        }

        if (_policy == RegisterPolicy.Bytes && width != 1)
        {
            WriteBytes(device, offset, width, value);
            return;
        }

        byte[] slots = _slotByOffset;
        if (offset < (ulong)slots.Length && slots[offset] is not 0 and byte number)
        {
            ref readonly Slot slot = ref _slots[number];
            int index = slot.IndexOf((int)offset);
            int within = slot.OffsetIn((int)offset, index);
            bool whole = within == 0 && width == slot.Info.Width;
            if (whole || (slot.Info.Width == 8 && width == 4 && within is 0 or 4))
            {
                slot.WriteElement(device, index, value << (within * 8), AccessWidth.Mask(width) << (within * 8));
            }
        }
    }

    private ulong ReadBytes(TDevice device, ulong offset, int width)
    {
        ulong value = 0;
        for (int i = 0; i < width; i++)
        {
            value |= ByteAt(offset, i, out ulong position) ? Read(device, position, 1) << (8 * i) : _gap & (0xffUL << (8 * i));
        }

        return value;
    }

    private void WriteBytes(TDevice device, ulong offset, int width, ulong value)
    {
        for (int i = 0; i < width; i++)
        {
            if (ByteAt(offset, i, out ulong position))
            {
                Write(device, position, 1, (value >> (8 * i)) & 0xff);
            }
        }
    }

    /// <returns>False for a byte past the top of the address space, where the sum wraps.</returns>
    private static bool ByteAt(ulong offset, int number, out ulong position)
    {
        position = offset + (ulong)number;
        return position >= offset;
    }

    private ulong ReadLanes(TDevice device, ulong offset, int width)
    {
        ulong result = _gap & AccessWidth.Mask(width);
        for (int done = 0; done < width;)
        {
            if (!NextPiece(offset, width, ref done, out int at, out int length, out int index, out int within, out int number))
            {
                continue;
            }

            // A read that changes state happens for exactly its own register, never as a part of another access.
            ref readonly Slot slot = ref _slots[number];
            bool whole = length == slot.Info.Width && length == width;
            if (slot.Info.Access == RegisterAccess.ReadSideEffect && !whole)
            {
                continue;
            }

            ulong piece = (slot.ReadElement(device, index) >> (within * 8)) & AccessWidth.Mask(length);
            result = (result & ~(AccessWidth.Mask(length) << (at * 8))) | (piece << (at * 8));
        }

        return result;
    }

    private void WriteLanes(TDevice device, ulong offset, int width, ulong value)
    {
        for (int done = 0; done < width;)
        {
            if (NextPiece(offset, width, ref done, out int at, out int length, out int index, out int within, out int number))
            {
                ulong piece = (value >> (at * 8)) & AccessWidth.Mask(length);
                _slots[number].WriteElement(device, index, piece << (within * 8), AccessWidth.Mask(length) << (within * 8));
            }
        }
    }

    /// <summary>Cuts an access at the borders of registers.</summary>
    /// <returns>False if the next byte is in a gap; it is then skipped.</returns>
    private bool NextPiece(
        ulong offset, int width, ref int done, out int at, out int length, out int index, out int within, out int number)
    {
        at = done;
        length = 1;
        index = 0;
        within = 0;
        number = 0;

        // The sum may wrap for an offset near 2^64: such bytes are outside the block too.
        ulong position = offset + (ulong)done;
        if (position < offset || position >= (ulong)Length || _slotByOffset[position] == 0)
        {
            done++;
            return false;
        }

        number = _slotByOffset[position];
        ref readonly Slot slot = ref _slots[number];
        index = slot.IndexOf((int)position);
        within = slot.OffsetIn((int)position, index);
        length = Math.Min(slot.Info.Width - within, width - done);
        done += length;
        return true;
    }

    /// <summary>How a whole single register is reached; of an array or the gap no access matches the key.</summary>
    private readonly struct Dispatch(ulong key, ulong mask, RegisterRead<TDevice>? read, RegisterWrite<TDevice>? write)
    {
        public static readonly Dispatch None = new(NoKey, 0, null, null);

        public readonly ulong Key = key;
        public readonly ulong Mask = mask;
        public readonly RegisterRead<TDevice>? Read = read;
        public readonly RegisterWrite<TDevice>? Write = write;
    }

    private struct Slot
    {
        public ulong Mask;
        public RegisterRead<TDevice>? Read;
        public RegisterWrite<TDevice>? Write;

        public RegisterLaneWrite<TDevice>? LaneWrite;
        public RegisterArrayRead<TDevice>? ArrayRead;
        public RegisterArrayWrite<TDevice>? ArrayWrite;
        public RegisterArrayLaneWrite<TDevice>? ArrayLaneWrite;
        public RegisterInfo Info;
        public bool IsArray;
        public bool IsSelected;
        public bool Writable;

        /// <summary>Fills in what dispatch needs, so that it tests for no null.</summary>
        public Dispatch Complete()
        {
            Mask = AccessWidth.Mask(Info.Width);
            Writable = Write is not null || LaneWrite is not null || ArrayWrite is not null || ArrayLaneWrite is not null;
            if (IsArray)
            {
                return Dispatch.None;
            }

            Read ??= ReadZero;
            if (LaneWrite is { } lanes)
            {
                ulong mask = Mask;
                Write = (device, value) => lanes(device, value, mask);
            }

            Write ??= DropWrite;
            return new Dispatch(KeyOf((uint)Info.Offset, Info.Width), Mask, Read, Write);
        }

        public readonly int IndexOf(int offset) => Info.Count == 1 ? 0 : (offset - Info.Offset) / Info.Stride;

        public readonly int OffsetIn(int offset, int index) => offset - Info.Offset - (index * Info.Stride);

        public readonly ulong ReadElement(TDevice device, int index)
        {
            return (IsArray ? ArrayRead!(device, index) : Read!(device)) & Mask;
        }

        public readonly void WriteElement(TDevice device, int index, ulong value, ulong mask)
        {
            if (!Writable)
            {
                return;
            }

            if (!IsArray)
            {
                if (LaneWrite is not null)
                {
                    LaneWrite(device, value, mask);
                }
                else
                {
                    // A part of a register without a lane handler is a half of plain 64-bit storage: the table's check sees to it.
                    Write!(device, mask == Mask ? value : (Read!(device) & ~mask) | value);
                }
            }
            else if (ArrayLaneWrite is not null)
            {
                ArrayLaneWrite(device, index, value, mask);
            }
            else
            {
                ArrayWrite!(device, index, mask == Mask ? value : (ArrayRead!(device, index) & ~mask) | value);
            }
        }
    }
}
