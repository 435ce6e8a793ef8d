using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Runtime.CompilerServices;

namespace Vmm.DeviceModel.Registers;

/// <summary>A register block as a table: one line a register, from which dispatch, traces and documentation come.</summary>
/// <remarks>
/// <para>
/// Written as a collection initialiser in a static field and shared by all instances of a device; handlers are static lambdas. A line that
/// overlaps another, is not naturally aligned, leaves the block or lacks a handler throws, so that a wrong table fails when its type loads.
/// </para>
/// <para>Thread-safe once the initialiser has run: look-up is two array reads and allocates nothing. Locking is the handlers' business.</para>
/// <code>
/// private static readonly RegisterMap&lt;Timer&gt; Registers = new("timer", length: 0x10)
/// {
///     { 0x00, 4, RegisterAccess.ReadWrite, "load", static d => d._load, static (d, v) => d._load = (uint)v },
///     { 0x04, 4, RegisterAccess.ReadOnly, "value", static d => d.CurrentValue() },
///     { 0x08, 1, RegisterAccess.WriteOnly, "clear", static (d, _) => d.Clear() },
/// };
/// </code>
/// <para><see cref="Bind"/> makes it answer a region for one device.</para>
/// </remarks>
/// <typeparam name="TDevice">What the handlers work on.</typeparam>
public sealed partial class RegisterMap<TDevice> : IEnumerable<RegisterInfo>
{
    private readonly byte[] _slotByOffset;
    private readonly RegisterPolicy _policy;
    private readonly ulong _gap;

    /// <summary>Which register of those that share an offset is reached, or null if none do.</summary>
    private Func<TDevice, int>? _selected;

    /// <summary>Slot 0 is the gap.</summary>
    private Slot[] _slots = [default];

    /// <summary>By slot: an access of a whole single register needs this alone. Of a size by which an index is shifted, not multiplied.</summary>
    private Dispatch[] _dispatch = [Dispatch.None];

    /// <summary>Makes an empty table.</summary>
    /// <param name="name">Name of the block, for traces.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="policy">Which accesses the registers take.</param>
    /// <param name="gap">What reads give where no register answers.</param>
    public RegisterMap(string name, int length, RegisterPolicy policy = RegisterPolicy.Exact, RegisterGap gap = RegisterGap.Zero)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        Name = name;
        _policy = policy;
        Gap = gap;
        _gap = gap == RegisterGap.Ones ? ulong.MaxValue : 0;
        _slotByOffset = new byte[length];
    }

    /// <summary>Name of the block.</summary>
    public string Name { get; }

    /// <summary>Bytes.</summary>
    public int Length => _slotByOffset.Length;

    /// <summary>Which accesses the registers take.</summary>
    public RegisterPolicy Policy => _policy;

    /// <summary>What reads give where no register answers.</summary>
    public RegisterGap Gap { get; }

    /// <summary>The registers of one device: what a claim or a BAR region takes as its handler.</summary>
    /// <param name="device">Whose registers.</param>
    public IRegisterBlock Bind(TDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        return new RegisterBlock<TDevice>(this, device);
    }

    /// <summary>Reads from the block. Never throws for an offset or a width.</summary>
    /// <param name="device">Whose registers.</param>
    /// <param name="offset">Byte offset in the block.</param>
    /// <param name="width">1 to 8.</param>
    /// <returns>The value; bytes that no register answers are zeroes or ones as the block says.</returns>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public ulong Read(TDevice device, ulong offset, int width)
    {
        byte[] slots = _slotByOffset;
        if (offset < (ulong)slots.Length)
        {
            ref readonly Dispatch register = ref _dispatch[slots[offset]];
            if (register.Key == KeyOf((uint)offset, width))
            {
                return register.Read!(device) & register.Mask;
            }
        }

        return ReadOther(device, offset, width);
    }

    /// <summary>Writes to the block. Never throws for an offset, a width or a value.</summary>
    /// <param name="device">Whose registers.</param>
    /// <param name="offset">Byte offset in the block.</param>
    /// <param name="width">1 to 8.</param>
    /// <param name="value">The value, little-endian; bytes above the width are ignored.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Write(TDevice device, ulong offset, int width, ulong value)
    {
        byte[] slots = _slotByOffset;
        if (offset < (ulong)slots.Length)
        {
            ref readonly Dispatch register = ref _dispatch[slots[offset]];
            if (register.Key == KeyOf((uint)offset, width))
            {
                register.Write!(device, value & register.Mask);
                return;
            }
        }

        WriteOther(device, offset, width, value);
    }

    /// <summary>The register that a byte belongs to.</summary>
    /// <param name="offset">Byte offset in the block.</param>
    /// <param name="register">The table's line.</param>
    /// <param name="index">Which register of an array, or 0.</param>
    /// <returns>False in a gap or outside the block.</returns>
    public bool TryFind(ulong offset, out RegisterInfo register, out int index)
    {
        if (offset < (ulong)_slotByOffset.Length && _slotByOffset[offset] != 0)
        {
            ref readonly Slot slot = ref _slots[_slotByOffset[offset]];
            register = slot.Info;
            index = slot.IndexOf((int)offset);
            return true;
        }

        register = default;
        index = 0;
        return false;
    }

    /// <summary>Names an access for a trace: <c>common_cfg.queue_desc[1]+4</c>, <c>table.address[3]</c>, or the offset where no register is.</summary>
    /// <param name="offset">Byte offset in the block.</param>
    /// <param name="selected">Which of the registers that share the offset (<see cref="SelectedAt"/>), or -1 to leave that out.</param>
    public string Describe(ulong offset, int selected = -1)
    {
        if (!TryFind(offset, out RegisterInfo register, out int index))
        {
            return string.Create(CultureInfo.InvariantCulture, $"{Name}+0x{offset:x}");
        }

        int within = (int)offset - register.Offset - (index * register.Stride);
        if (register.Count == 1)
        {
            index = selected;
        }

        string element = register.Count > 1 || selected >= 0 ? string.Create(CultureInfo.InvariantCulture, $"[{index}]") : "";
        return within == 0
            ? $"{Name}.{register.Name}{element}"
            : string.Create(CultureInfo.InvariantCulture, $"{Name}.{register.Name}{element}+{within}");
    }

    /// <summary>Which of the registers that share an offset an access would reach now (<see cref="SelectedBy"/>).</summary>
    /// <param name="device">Whose registers.</param>
    /// <param name="offset">Byte offset in the block.</param>
    /// <returns>The index, or -1 where there is only one.</returns>
    public int SelectedAt(TDevice device, ulong offset)
    {
        return _selected is not null && offset < (ulong)Length && _slots[_slotByOffset[offset]].IsSelected ? _selected(device) : -1;
    }

    /// <summary>The lines of the table, by offset.</summary>
    public IEnumerator<RegisterInfo> GetEnumerator()
    {
        var lines = new List<RegisterInfo>(_slots.Length);
        for (int i = 1; i < _slots.Length; i++)
        {
            lines.Add(_slots[i].Info);
        }

        lines.Sort(static (a, b) => a.Offset.CompareTo(b.Offset));
        return lines.GetEnumerator();
    }

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
}
