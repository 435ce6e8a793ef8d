using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;
using System.Threading;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Capabilities;

/// <summary>MSI: one address, one data value whose low bits select among up to 32 messages (PCI 3.0, 6.8.1; PCI-11).</summary>
/// <remarks>
/// <para>
/// The guest enables as many messages as it likes of those the function asks for: <see cref="EnabledCount"/>, taken from Multiple Message
/// Enable when the enable bit is set and never more than <see cref="VectorCount"/>. A vector beyond it has no message: its event is nobody's.
/// A device with more reasons than messages shares them (PCI 3.0, 6.8.1.6).
/// </para>
/// <para>While MSI-X is enabled too, which software must not do, MSI-X is the mechanism and MSI sends nothing. Events of a time when MSI is
/// not the mechanism are not sent when it becomes that: only a mask, or the lack of bus mastering, keeps them.</para>
/// </remarks>
public sealed class MsiCapability : MessageCapability
{
    /// <summary>The most vectors that MSI has.</summary>
    public const int MaximumVectors = 32;

    private const uint ControlEnable = 1u << 16;

    private readonly MsiVector[] _vectors;
    private int _enabledCount = 1;

    /// <summary>Describes the capability.</summary>
    /// <param name="vectorCount">How many messages the function asks for: 1, 2, 4, 8, 16 or 32.</param>
    /// <param name="is64Bit">The address has 64 bits.</param>
    /// <param name="perVectorMasking">Each vector has a mask bit and a pending bit.</param>
    /// <exception cref="ArgumentException">Another count.</exception>
    public MsiCapability(int vectorCount, bool is64Bit = true, bool perVectorMasking = false)
        : base(CapabilityIds.Msi, LengthOf(is64Bit, perVectorMasking))
    {
        if (vectorCount > MaximumVectors || !BitOperations.IsPow2(vectorCount))
        {
            throw new ArgumentException($"MSI has 1, 2, 4, 8, 16 or 32 vectors, not {vectorCount}", nameof(vectorCount));
        }

        Is64Bit = is64Bit;
        HasPerVectorMasking = perVectorMasking;
        DataOffset = is64Bit ? 12 : 8;
        MaskOffset = DataOffset + 4;
        _vectors = new MsiVector[vectorCount];
        for (int i = 0; i < vectorCount; i++)
        {
            _vectors[i] = new MsiVector(this, i);
        }

        uint control = ((uint)BitOperations.Log2((uint)vectorCount) << 1) | (is64Bit ? 0x80u : 0) | (perVectorMasking ? 0x100u : 0);
        Define(2, 2, control, writable: 0x71);
        Define(4, 4, 0, writable: ~3u);
        if (is64Bit)
        {
            Define(8, 4, 0, writable: uint.MaxValue);
        }

        Define(DataOffset, 2, 0, writable: 0xffff);
        if (perVectorMasking)
        {
            Define(MaskOffset, 4, 0, writable: uint.MaxValue >> (32 - vectorCount));
        }
    }

    /// <inheritdoc/>
    public override string Description => "MSI" + (Is64Bit ? ", 64-bit" : "") + (HasPerVectorMasking ? ", masks" : "");

    /// <summary>How many messages the function asks for (Multiple Message Capable).</summary>
    public int VectorCount => _vectors.Length;

    /// <summary>How many messages the guest gave when it last set the enable bit.</summary>
    public int EnabledCount => Volatile.Read(ref _enabledCount);

    /// <summary>The address has 64 bits.</summary>
    public bool Is64Bit { get; }

    /// <summary>Each vector has a mask bit and a pending bit.</summary>
    public bool HasPerVectorMasking { get; }

    /// <inheritdoc/>
    public override bool IsEnabled => (Register(0) & ControlEnable) != 0;

    /// <inheritdoc/>
    protected internal override bool HandlesReads => HasPerVectorMasking;

    private protected override ReadOnlySpan<MessageVector> Vectors => _vectors;

    private int DataOffset { get; }

    private int MaskOffset { get; }

    /// <summary>The vector with an index.</summary>
    /// <param name="index">0 to <see cref="VectorCount"/> - 1.</param>
    public MsiVector this[int index] => _vectors[index];

    /// <inheritdoc/>
    protected internal override void OnWritten(int offset, in ConfigurationWrite write)
    {
        if (write.Changed == 0)
        {
            return;
        }

        bool enableChanged = offset == 0 && (write.Changed & ControlEnable) != 0;
        if (enableChanged && (write.New & ControlEnable) != 0)
        {
            // Reserved encodings (6 and 7) and counts above the capable one are bounded by it.
            int given = 1 << (int)((write.New >> 20) & 7);
            Volatile.Write(ref _enabledCount, Math.Min(given, VectorCount));
        }

        FunctionChanged();
        if (enableChanged)
        {
            List!.Owner.InterruptModeChanged();
        }
    }

    /// <inheritdoc/>
    protected internal override uint OnRead(int offset, ByteLanes lanes, uint value)
    {
        if (offset != MaskOffset + 4)
        {
            return value;
        }

        uint pending = 0;
        foreach (MsiVector vector in _vectors)
        {
            pending |= vector.IsPending ? 1u << vector.Index : 0;
        }

        return pending;
    }

    /// <inheritdoc/>
    protected internal override void OnReset()
    {
        Volatile.Write(ref _enabledCount, 1);
        base.OnReset();
    }

    /// <summary>Indices of the vectors that are pending; their messages and masks are registers.</summary>
    internal List<int> SavePending() => [.. _vectors.Where(static vector => vector.IsPending).Select(static vector => vector.Index)];

    /// <summary>Takes a state over that was checked. MSI is disabled now.</summary>
    internal void Restore(int enabledCount, IReadOnlyList<int> pending)
    {
        Volatile.Write(ref _enabledCount, enabledCount);
        foreach (int index in pending)
        {
            MsiVector vector = _vectors[index];
            vector.Restore(vector.Message.Address, vector.Message.Data, vector.IsMasked, pending: true);
        }
    }

    private protected override void ClearEnable() => List!.Space.Update(Offset, ControlEnable, 0);

    /// <inheritdoc/>
    internal override bool IsEffective(int index) => KeepsEvents(index) && List!.Mastering.IsAllowed;

    /// <inheritdoc/>
    internal override bool KeepsEvents(int index) => index < EnabledCount && List is { IsMsixEnabled: false } && IsEnabled;

    internal bool IsVectorMasked(int index) => HasPerVectorMasking && ((Register(MaskOffset) >> index) & 1) != 0;

    internal MsiMessage MessageOf(int index)
    {
        ulong address = Register(4);
        if (Is64Bit)
        {
            address |= (ulong)Register(8) << 32;
        }

        // The function changes the low bits only: as many as it takes to count the messages it was given.
        uint selected = (uint)(EnabledCount - 1);
        return new MsiMessage(address, (Register(DataOffset) & 0xffff & ~selected) | ((uint)index & selected));
    }

    private static int LengthOf(bool is64Bit, bool perVectorMasking) => (is64Bit ? 14 : 10) + (perVectorMasking ? 10 : 0);

    private uint Register(int offset) => List?.Space.ReadRegister(Offset + offset) ?? 0;
}
