using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Epochs;

namespace Vmm.DeviceModel.Bus;

/// <summary>A set of adds, moves and removes that take effect together, or not at all.</summary>
/// <remarks>
/// <para>Commit order: the new flat view is computed, doorbells and slots that went are unregistered, new ones registered, the view is published,
/// and the call returns after the last access in flight to what was removed or moved away has ended. Registrations that stay the same are
/// not touched. If the hypervisor refuses a slot that may not be dispatched, the earlier steps are undone, the old view stays, and
/// <see cref="Commit()"/> throws <see cref="HostException"/>; a refused doorbell is no failure, its writes are dispatched (VTP-14), nor is a refused
/// slot of a claim with <see cref="MemoryClaim.MayDispatch"/>.</para>
/// <para>Commit must not be called from inside an access of the same domain: use <see cref="AccessDomain.RunAfterAccess"/>.
/// Nor may the caller hold a lock that a handler takes, since the handler's access is waited for. For the handler of a blocking claim
/// (<see cref="Claim.IsBlocking"/>) that is so at its removal alone, and there the wait is as long as the handler takes.
/// A transaction belongs to one thread and is committed once; after a failed commit it may be tried again.</para>
/// </remarks>
public sealed class AddressSpaceTransaction
{
    private readonly List<TransactionStep> _steps = [];
    private bool _committed;

    internal AddressSpaceTransaction(AddressSpace space) => Space = space;

    /// <summary>The space that will change.</summary>
    public AddressSpace Space { get; }

    /// <summary>Adds a claim. A <see cref="DoorbellClaim"/> takes its address from the claim it lies over.</summary>
    /// <param name="claim">A claim that is in no space when the transaction commits.</param>
    /// <param name="baseAddress">Its first address; ignored for a doorbell. A part beyond the last port of a port space is never visible.</param>
    /// <exception cref="ArgumentOutOfRangeException">The last byte would lie beyond 2^64 - 1 (BUS-1).</exception>
    public void Add(Claim claim, ulong baseAddress = 0)
    {
        Append(TransactionStepKind.Add, claim, baseAddress);
    }

    /// <summary>Moves a claim; doorbells over it follow.</summary>
    /// <param name="claim">A claim of the space that is no doorbell.</param>
    /// <param name="baseAddress">Its new first address.</param>
    /// <exception cref="ArgumentOutOfRangeException">The last byte would lie beyond 2^64 - 1 (BUS-1).</exception>
    public void Move(Claim claim, ulong baseAddress)
    {
        if (claim is DoorbellClaim)
        {
            throw new ArgumentException("a doorbell has no address of its own: move the claim it lies over", nameof(claim));
        }

        Append(TransactionStepKind.Move, claim, baseAddress);
    }

    /// <summary>Removes a claim; doorbells over it go too.</summary>
    /// <param name="claim">A claim of the space.</param>
    public void Remove(Claim claim)
    {
        Append(TransactionStepKind.Remove, claim, 0);
    }

    /// <summary>Makes the changes take effect.</summary>
    /// <exception cref="ArgumentException">A claim to add is in a space already, or one to move or remove is not in this one.</exception>
    /// <exception cref="HostException">The hypervisor refused a step; nothing has changed.</exception>
    /// <exception cref="InvalidOperationException">Called from inside an access of the same domain, or a second time.</exception>
    public void Commit() => Commit(waitsForBlocking: true);

    /// <summary>Makes the changes take effect; see <see cref="AddressSpace.Commit"/>.</summary>
    internal void Commit(bool waitsForBlocking)
    {
        ThrowIfCommitted();
        Space.Commit(_steps, waitsForBlocking);
        _committed = true;
    }

    private void Append(TransactionStepKind kind, Claim claim, ulong baseAddress)
    {
        ArgumentNullException.ThrowIfNull(claim);
        ThrowIfCommitted();
        if (claim is not DoorbellClaim && claim.Length - 1 > ulong.MaxValue - baseAddress)
        {
            throw new ArgumentOutOfRangeException(
                nameof(baseAddress), baseAddress, $"{claim.Name}: 0x{claim.Length:x} bytes from there reach beyond 2^64 - 1");
        }

        _steps.Add(new TransactionStep(kind, claim, baseAddress));
    }

    private void ThrowIfCommitted()
    {
        if (_committed)
        {
            throw new InvalidOperationException("the transaction has been committed: begin another one");
        }
    }
}
