using System;
using Vmm.DeviceModel.Memory;

namespace Vmm.DeviceModel.Bus;

/// <summary>A range backed by host memory: whole visible pages become hypervisor memory slots, the rest is dispatched.</summary>
public sealed class MemoryClaim : Claim
{
    private readonly IRegionHandler? _access;
    private HostMemoryHandler? _handler;

    /// <summary>Describes a range over a part of <paramref name="memory"/>.</summary>
    /// <param name="name">For logs and counters.</param>
    /// <param name="memory">The mapping; it must outlive the claim.</param>
    /// <param name="offset">Where in the mapping the range starts, in bytes.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="readOnly">Guest writes are dropped; the slot is made read-only (KVM-8). A read-only mapping is lent no other way.</param>
    /// <param name="priority">See <see cref="ClaimPriority"/>.</param>
    /// <param name="access">Answers what is dispatched; null for loads and stores in the mapping.</param>
    /// <param name="mayDispatch">
    /// Where the hypervisor refuses a slot, accesses are dispatched instead. Not for RAM: a guest cannot run code from there, so the refusal
    /// fails the change.
    /// </param>
    /// <exception cref="ArgumentException">The range does not lie inside the mapping, or that is read-only and the claim is not.</exception>
    public MemoryClaim(
        string name,
        HostMemory memory,
        ulong offset,
        ulong length,
        bool readOnly = false,
        int priority = ClaimPriority.Ram,
        IRegionHandler? access = null,
        bool mayDispatch = false)
        : base(name, length, priority)
    {
        ArgumentNullException.ThrowIfNull(memory);
        if (offset > memory.Length || length > memory.Length - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(length), "the range does not lie inside the mapping");
        }

        memory.RequireWritable(!readOnly);
        Memory = memory;
        Offset = offset;
        ReadOnly = readOnly;
        MayDispatch = mayDispatch;
        _access = access;
    }

    /// <summary>The mapping behind the range.</summary>
    public HostMemory Memory { get; }

    /// <summary>Start of the range in the mapping, in bytes.</summary>
    public ulong Offset { get; }

    /// <summary>True if guest writes are dropped.</summary>
    public bool ReadOnly { get; }

    /// <summary>True if accesses are dispatched where the hypervisor refuses a slot.</summary>
    public bool MayDispatch { get; }

    /// <summary>Plain memory of ours: reading it has no effect and cannot fail.</summary>
    internal bool IsRam => _access is null && !Memory.IsForeign;

    /// <summary>Host address of the claim's first byte.</summary>
    internal nint Host => Backing.Host;

    private HostMemoryHandler Backing => _handler ??= new HostMemoryHandler(Memory, Offset, ReadOnly);

    private protected override IRegionHandler? CreateHandler() => _access ?? Backing;
}
