using System;

namespace Vmm.DeviceModel.Registers;

/// <content>The lines of the table and what they are checked for.</content>
public sealed partial class RegisterMap<TDevice>
{
    private static readonly RegisterRead<TDevice> ReadZero = static _ => 0;
    private static readonly RegisterWrite<TDevice> DropWrite = static (_, _) => { };

    /// <summary>A register that is only read.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="access"><see cref="RegisterAccess.ReadOnly"/> or <see cref="RegisterAccess.ReadSideEffect"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="read">Reads it.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, RegisterRead<TDevice> read)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, 1, width), Read = read });
    }

    /// <summary>A register that is only written, whole.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="access"><see cref="RegisterAccess.WriteOnly"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="write">Writes it.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, RegisterWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, 1, width), Write = write });
    }

    /// <summary>A register that is only written, by bytes.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="access"><see cref="RegisterAccess.WriteOnly"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="write">Writes the bytes of a mask.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, RegisterLaneWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, 1, width), LaneWrite = write });
    }

    /// <summary>
    /// A register that is read and written, whole. A 64-bit one in an <see cref="RegisterPolicy.Exact"/> block also takes its halves: the other
    /// half is then what <paramref name="read"/> gives, so it must be plain storage; give a lane handler where it is not.
    /// </summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes; 1 in a <see cref="RegisterPolicy.Lanes"/> block.</param>
    /// <param name="access">
    /// <see cref="RegisterAccess.ReadWrite"/>, or <see cref="RegisterAccess.ReadSideEffect"/> for one that is written too.
    /// </param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="read">Reads it.</param>
    /// <param name="write">Writes it.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, RegisterRead<TDevice> read, RegisterWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, 1, width), Read = read, Write = write });
    }

    /// <summary>A register that is read whole and written by bytes.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="access">
    /// <see cref="RegisterAccess.ReadWrite"/>, or <see cref="RegisterAccess.ReadSideEffect"/> for one that is written too.
    /// </param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="read">Reads it.</param>
    /// <param name="write">Writes the bytes of a mask.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, RegisterRead<TDevice> read, RegisterLaneWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, 1, width), Read = read, LaneWrite = write });
    }

    /// <summary>An array of registers that are only read.</summary>
    /// <param name="offset">Byte offset of the first, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes each.</param>
    /// <param name="access"><see cref="RegisterAccess.ReadOnly"/> or <see cref="RegisterAccess.ReadSideEffect"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="stride">Bytes from one to the next, a multiple of <paramref name="width"/>; arrays may interleave.</param>
    /// <param name="read">Reads one.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(int offset, int width, RegisterAccess access, string name, int count, int stride, RegisterArrayRead<TDevice> read)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, count, stride), ArrayRead = read, IsArray = true });
    }

    /// <summary>An array of registers that are read and written, whole.</summary>
    /// <param name="offset">Byte offset of the first, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes each; 1 in a <see cref="RegisterPolicy.Lanes"/> block.</param>
    /// <param name="access"><see cref="RegisterAccess.ReadWrite"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="stride">Bytes from one to the next, a multiple of <paramref name="width"/>; arrays may interleave.</param>
    /// <param name="read">Reads one.</param>
    /// <param name="write">Writes one.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(
        int offset, int width, RegisterAccess access, string name, int count, int stride, RegisterArrayRead<TDevice> read,
        RegisterArrayWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, count, stride), ArrayRead = read, ArrayWrite = write, IsArray = true });
    }

    /// <summary>An array of registers that are read whole and written by bytes.</summary>
    /// <param name="offset">Byte offset of the first, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8 bytes each.</param>
    /// <param name="access"><see cref="RegisterAccess.ReadWrite"/>.</param>
    /// <param name="name">The specification's name, once in a table.</param>
    /// <param name="count">How many, at least 1.</param>
    /// <param name="stride">Bytes from one to the next, a multiple of <paramref name="width"/>; arrays may interleave.</param>
    /// <param name="read">Reads one.</param>
    /// <param name="write">Writes the bytes of a mask.</param>
    /// <exception cref="ArgumentException">The line is wrong; the message says how.</exception>
    public void Add(
        int offset, int width, RegisterAccess access, string name, int count, int stride, RegisterArrayRead<TDevice> read,
        RegisterArrayLaneWrite<TDevice> write)
    {
        AddSlot(new Slot { Info = new(offset, width, access, name, count, stride), ArrayRead = read, ArrayLaneWrite = write, IsArray = true });
    }

    /// <summary>
    /// Says that some registers exist several times at the same offset, and that another register selects which of them is reached: a trace shows
    /// its index.
    /// </summary>
    /// <param name="selected">Reads the index from a device: by one plain read, since it is called on the access.</param>
    /// <param name="names">Lines of the table.</param>
    /// <returns>This map, so that it can follow the initialiser.</returns>
    /// <exception cref="ArgumentException">A name is no line of the table, or names an array.</exception>
    public RegisterMap<TDevice> SelectedBy(Func<TDevice, int> selected, params ReadOnlySpan<string> names)
    {
        ArgumentNullException.ThrowIfNull(selected);
        _selected = selected;
        foreach (string name in names)
        {
            int number = Array.FindIndex(_slots, 1, slot => slot.Info.Name == name);
            if (number < 0 || _slots[number].IsArray)
            {
                throw new ArgumentException($"{Name}: '{name}' is no single register of the table", nameof(names));
            }

            _slots[number].IsSelected = true;
        }

        return this;
    }

    private void AddSlot(Slot slot)
    {
        RegisterInfo line = slot.Info;
        Require(!string.IsNullOrEmpty(line.Name), line, "has no name");
        Require(line.Width is 1 or 2 or 4 or 8, line, "must be 1, 2, 4 or 8 bytes wide");
        Require(line.Offset >= 0 && line.Offset % line.Width == 0, line, "is not naturally aligned");
        Require(line.Count >= 1, line, "needs a count of at least 1");
        Require(line.Stride >= line.Width && line.Stride % line.Width == 0, line, "needs a stride that is a multiple of its width");
        Require(line.Offset + ((line.Count - 1L) * line.Stride) + line.Width <= Length, line, "leaves the block");
        Require(_slots.Length <= byte.MaxValue, line, "is one too many: a block has at most 255 lines");
        for (int i = 1; i < _slots.Length; i++)
        {
            Require(_slots[i].Info.Name != line.Name, line, "is there already");
        }

        CheckHandlers(slot);
        byte number = (byte)_slots.Length;
        for (int element = 0; element < line.Count; element++)
        {
            Span<byte> bytes = _slotByOffset.AsSpan(line.Offset + (element * line.Stride), line.Width);
            foreach (byte taken in bytes)
            {
                Require(taken == 0, line, taken == 0 ? "" : $"overlaps '{_slots[taken].Info.Name}'");
            }

            bytes.Fill(number);
        }

        Array.Resize(ref _dispatch, _dispatch.Length + 1);
        _dispatch[^1] = slot.Complete();
        Array.Resize(ref _slots, _slots.Length + 1);
        _slots[^1] = slot;
    }

    private void CheckHandlers(in Slot slot)
    {
        RegisterInfo line = slot.Info;
        bool reads = slot.Read is not null || slot.ArrayRead is not null;
        bool wholeWrites = slot.Write is not null || slot.ArrayWrite is not null;
        bool writes = wholeWrites || slot.LaneWrite is not null || slot.ArrayLaneWrite is not null;
        switch (line.Access)
        {
            case RegisterAccess.ReadOnly:
                Require(reads && !writes, line, "is read-only: give it a read handler and no other");
                break;
            case RegisterAccess.ReadWrite:
                Require(reads && writes, line, "is read-write: give it a read and a write handler");
                break;
            case RegisterAccess.WriteOnly:
                Require(writes && !reads, line, "is write-only: give it a write handler and no other");
                break;
            case RegisterAccess.ReadSideEffect:
                Require(reads, line, "needs a read handler");
                break;
            default:
                Require(false, line, "has an unknown access");
                break;
        }

        if (_policy == RegisterPolicy.Bytes)
        {
            Require(line.Width == 1, line, "must be 1 byte wide in a block of bytes");
        }
        else if (_policy == RegisterPolicy.Lanes)
        {
            Require(!wholeWrites || line.Width == 1, line, "can be written in part: give it a handler of (value, mask)");
        }
        else if (line.Width == 8 && wholeWrites)
        {
            Require(line.Access == RegisterAccess.ReadWrite, line, "can be written by halves and not be read: give it a handler of (value, mask)");
        }
    }

    private void Require(bool condition, in RegisterInfo line, string problem)
    {
        if (!condition)
        {
            throw new ArgumentException($"{Name}: register '{line.Name}' at 0x{line.Offset:x} {problem}");
        }
    }
}
