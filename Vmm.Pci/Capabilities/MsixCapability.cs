using System;
using System.Collections.Generic;
using System.Globalization;
using Vmm.DeviceModel.Bus;
using Vmm.Pci.Bars;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Pci.State;

namespace Vmm.Pci.Capabilities;

/// <summary>MSI-X: the control word in configuration space, and the table and the pending bit array in BARs (PCI 3.0, 6.8.2).</summary>
/// <remarks>
/// The embedder puts <see cref="CreateTableRegion"/> and <see cref="CreatePendingRegion"/> into the BARs that it named here; that is checked
/// when the function joins a bus. Threading is described on <see cref="MessageVector"/>.
/// </remarks>
public sealed class MsixCapability : MessageCapability
{
    /// <summary>Bytes of one table entry.</summary>
    public const int EntryLength = 16;

    /// <summary>The most vectors that a table can have.</summary>
    public const int MaximumVectors = 2048;

    private const uint ControlEnable = 1u << 31;
    private const uint ControlFunctionMask = 1u << 30;

    private readonly MsixVector[] _vectors;

    /// <summary>Describes the capability.</summary>
    /// <param name="vectorCount">1 to 2048.</param>
    /// <param name="tableBar">The BAR that the table lies in, 0 to 5.</param>
    /// <param name="tableOffset">Its offset there, a multiple of 8.</param>
    /// <param name="pendingBar">The BAR that the pending bit array lies in, 0 to 5; may be another one (MSIX-9).</param>
    /// <param name="pendingOffset">Its offset there, a multiple of 8.</param>
    /// <exception cref="ArgumentException">A number outside its range, or table and array overlap.</exception>
    public MsixCapability(int vectorCount, int tableBar, uint tableOffset, int pendingBar, uint pendingOffset)
        : base(CapabilityIds.Msix, 12)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vectorCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectorCount, MaximumVectors);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)tableBar, 5u, nameof(tableBar));
        ArgumentOutOfRangeException.ThrowIfGreaterThan((uint)pendingBar, 5u, nameof(pendingBar));
        if ((tableOffset & 7) != 0 || (pendingOffset & 7) != 0)
        {
            throw new ArgumentException("table and pending bit array start at multiples of 8", nameof(tableOffset));
        }

        ulong tableEnd = tableOffset + (ulong)(vectorCount * EntryLength);
        ulong pendingEnd = pendingOffset + PendingLength(vectorCount);
        if (tableBar == pendingBar && tableOffset < pendingEnd && pendingOffset < tableEnd)
        {
            throw new ArgumentException("table and pending bit array overlap", nameof(pendingOffset));
        }

        TableBar = tableBar;
        TableOffset = tableOffset;
        PendingBar = pendingBar;
        PendingOffset = pendingOffset;
        _vectors = new MsixVector[vectorCount];
        for (int i = 0; i < vectorCount; i++)
        {
            _vectors[i] = new MsixVector(this, i);
        }

        TableHandler = new MsixTableRegion(this, _vectors);
        PendingHandler = new MsixPendingRegion(_vectors);
        Define(2, 2, (uint)(vectorCount - 1), writable: 0xc000);
        Define(4, 4, tableOffset | (uint)tableBar);
        Define(8, 4, pendingOffset | (uint)pendingBar);
    }

    /// <inheritdoc/>
    public override string Description => string.Create(
        CultureInfo.InvariantCulture,
        $"MSI-X: table in BAR {TableBar} at 0x{TableOffset:x}, pending bits in BAR {PendingBar} at 0x{PendingOffset:x}");

    /// <summary>How many vectors the table has.</summary>
    public int VectorCount => _vectors.Length;

    /// <summary>The BAR that the table lies in.</summary>
    public int TableBar { get; }

    /// <summary>Offset of the table in its BAR.</summary>
    public uint TableOffset { get; }

    /// <summary>The BAR that the pending bit array lies in.</summary>
    public int PendingBar { get; }

    /// <summary>Offset of the pending bit array in its BAR.</summary>
    public uint PendingOffset { get; }

    /// <summary>Answers the table's bytes.</summary>
    public IRegionHandler TableHandler { get; }

    /// <summary>Answers the pending bit array's bytes.</summary>
    public IRegionHandler PendingHandler { get; }

    /// <inheritdoc/>
    public override bool IsEnabled => (Control & ControlEnable) != 0;

    /// <summary>Function Mask: all vectors behave as if masked.</summary>
    public bool IsFunctionMasked => (Control & ControlFunctionMask) != 0;

    /// <summary>Told of vectors that were written in the table: index of the first one, and how many; no gate is held.</summary>
    internal Action<int, int>? VectorsWritten { get; set; }

    private protected override ReadOnlySpan<MessageVector> Vectors => _vectors;

    private uint Control => List?.Space.ReadRegister(Offset) ?? 0;

    /// <summary>The vector with an index.</summary>
    /// <param name="index">0 to <see cref="VectorCount"/> - 1.</param>
    public MsixVector this[int index] => _vectors[index];

    /// <summary>Bytes of the pending bit array of a number of vectors: whole quad-words (MSIX-6).</summary>
    /// <param name="vectorCount">0 to 2048.</param>
    public static ulong PendingLength(int vectorCount) => (ulong)((vectorCount + 63) / 64 * 8);

    /// <summary>The table as a region of the BAR <see cref="TableBar"/>.</summary>
    public PciBarRegion CreateTableRegion() => new("msix-table", TableOffset, (ulong)(VectorCount * EntryLength), TableHandler);

    /// <summary>The pending bit array as a region of the BAR <see cref="PendingBar"/>.</summary>
    public PciBarRegion CreatePendingRegion() => new("msix-pba", PendingOffset, PendingLength(VectorCount), PendingHandler);

    /// <summary>The vectors that are not as at power-on.</summary>
    internal List<VectorState> Save()
    {
        var states = new List<VectorState>();
        foreach (MsixVector vector in _vectors)
        {
            var state = new VectorState(vector.Index, vector.Message.Address, vector.Message.Data, vector.IsMasked, vector.IsPending);
            if (state != new VectorState(vector.Index, 0, 0, Masked: true, Pending: false))
            {
                states.Add(state);
            }
        }

        return states;
    }

    /// <summary>Takes a state over that was checked. MSI-X is disabled now.</summary>
    internal void Restore(IReadOnlyList<VectorState> states)
    {
        foreach (VectorState state in states)
        {
            _vectors[state.Index].Restore(state.Address, state.Data, state.Masked, state.Pending);
        }
    }

    /// <inheritdoc/>
    protected internal override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if ((write.Changed & (ControlEnable | ControlFunctionMask)) != 0)
        {
            FunctionChanged();
            List!.Owner.InterruptModeChanged();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnSealed()
    {
        CheckRegion("table", TableBar, TableOffset, TableHandler);
        CheckRegion("pending bit array", PendingBar, PendingOffset, PendingHandler);
    }

    private protected override void ClearEnable() => List!.Space.Update(Offset, ControlEnable, 0);

    /// <summary>Enabled, not masked as a whole, and allowed to master the bus (PCI-8).</summary>
    internal override bool IsEffective(int index) =>
        List is { } list && (Control & (ControlEnable | ControlFunctionMask)) == ControlEnable && list.Mastering.IsAllowed;

    /// <inheritdoc/>
    internal override bool KeepsEvents(int index) => true;

    private void CheckRegion(string what, int bar, uint offset, IRegionHandler handler)
    {
        foreach (PciBar candidate in Function!.Bars)
        {
            if (candidate.Index == bar && candidate.FindRegion(offset, 1) is { } region && region.Handler == handler && region.Offset == offset)
            {
                return;
            }
        }

        throw new ArgumentException($"MSI-X: BAR {bar} has no region with the {what} at 0x{offset:x}");
    }
}
