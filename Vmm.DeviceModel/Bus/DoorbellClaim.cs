using System;
using Vmm.DeviceModel.Events;

namespace Vmm.DeviceModel.Bus;

/// <summary>Asks the hypervisor to turn writes at an address into signals of an eventfd, without an exit (KVM-7).</summary>
/// <remarks>
/// A doorbell only shortcuts writes that would reach <see cref="Over"/>: it is registered exactly while that claim is the visible one
/// at the doorbell's address, moves with it, and where the hypervisor refuses or is absent, the write reaches the handler instead (VTP-14).
/// </remarks>
public sealed class DoorbellClaim : Claim
{
    /// <summary>Describes a doorbell over a handler's range.</summary>
    /// <param name="name">For logs and counters.</param>
    /// <param name="over">The claim whose handler performs the same notification when the write does exit.</param>
    /// <param name="offset">Offset of the doorbell in <paramref name="over"/>, in bytes.</param>
    /// <param name="width">Width of the writes that the doorbell answers when the hypervisor cannot match any width: 1, 2, 4 or 8.</param>
    /// <param name="target">Signalled by the hypervisor.</param>
    /// <param name="dataMatch">If given, only writes of this value (of exactly <paramref name="width"/>) count.</param>
    public DoorbellClaim(string name, HandlerClaim over, ulong offset, int width, EventFd target, ulong? dataMatch = null)
        : base(name, (ulong)width, 0)
    {
        ArgumentNullException.ThrowIfNull(over);
        ArgumentNullException.ThrowIfNull(target);
        if (width is not (1 or 2 or 4 or 8))
        {
            throw new ArgumentOutOfRangeException(nameof(width), width, "1, 2, 4 or 8");
        }

        if (offset > over.Length || (ulong)width > over.Length - offset)
        {
            throw new ArgumentOutOfRangeException(nameof(offset), offset, "the doorbell does not lie inside the claim");
        }

        Over = over;
        Offset = offset;
        Width = width;
        Target = target;
        DataMatch = dataMatch;
    }

    /// <summary>The claim whose writes this doorbell shortcuts.</summary>
    public HandlerClaim Over { get; }

    /// <summary>Offset in <see cref="Over"/>, in bytes.</summary>
    public ulong Offset { get; }

    /// <summary>Width of a matching write in bytes.</summary>
    public int Width { get; }

    /// <summary>What is signalled.</summary>
    public EventFd Target { get; }

    /// <summary>The value that a write must have, or null for any.</summary>
    public ulong? DataMatch { get; }

    private protected override IRegionHandler? CreateHandler() => null;
}
