using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>A range whose accesses are dispatched to an <see cref="IRegionHandler"/>.</summary>
public sealed class HandlerClaim : Claim
{
    /// <summary>Describes a range; it decodes once a transaction has added it.</summary>
    /// <param name="name">For logs and counters.</param>
    /// <param name="length">Bytes, at least 1.</param>
    /// <param name="handler">Answers the accesses.</param>
    /// <param name="priority">See <see cref="ClaimPriority"/>.</param>
    public HandlerClaim(string name, ulong length, IRegionHandler handler, int priority = ClaimPriority.Bar)
        : base(name, length, priority)
    {
        ArgumentNullException.ThrowIfNull(handler);
        Handler = handler;
    }

    /// <summary>Answers the accesses.</summary>
    public IRegionHandler Handler { get; }

    private protected override IRegionHandler? CreateHandler() => Handler;
}
