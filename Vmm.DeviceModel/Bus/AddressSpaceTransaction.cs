using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>A set of adds, moves and removes that take effect together, or not at all.</summary>
/// <remarks>
/// Commit order: the new flat view is computed, doorbells and slots that went are unregistered, new ones registered, the view is published,
/// and the call returns after the last access in flight to what was removed or moved away has ended. If the hypervisor refuses a step,
/// the earlier ones are undone, the old view stays, and <see cref="Commit"/> throws <see cref="Vmm.DeviceModel.Hypervisor.HypervisorException"/>.
/// Commit must not be called from inside an access of the same domain: use <see cref="AccessDomain.RunAfterAccess"/>.
/// </remarks>
public sealed class AddressSpaceTransaction
{
    internal AddressSpaceTransaction(AddressSpace space) => Space = space;

    /// <summary>The space that will change.</summary>
    public AddressSpace Space { get; }

    /// <summary>Adds a claim. A <see cref="DoorbellClaim"/> takes its address from the claim it lies over.</summary>
    /// <param name="claim">A claim that is in no space.</param>
    /// <param name="baseAddress">Its first address; ignored for a doorbell.</param>
    public void Add(Claim claim, ulong baseAddress = 0) => throw new NotImplementedException();

    /// <summary>Moves a claim; doorbells over it follow.</summary>
    /// <param name="claim">A claim of the space.</param>
    /// <param name="baseAddress">Its new first address.</param>
    public void Move(Claim claim, ulong baseAddress) => throw new NotImplementedException();

    /// <summary>Removes a claim; doorbells over it go too.</summary>
    /// <param name="claim">A claim of the space.</param>
    public void Remove(Claim claim) => throw new NotImplementedException();

    /// <summary>Makes the changes take effect.</summary>
    public void Commit() => throw new NotImplementedException();
}
