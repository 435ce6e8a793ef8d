using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Testing.Seams;

/// <summary>A doorbell of <see cref="RecordingDoorbells"/>.</summary>
/// <param name="Kind">Memory or port.</param>
/// <param name="Address">Guest address.</param>
/// <param name="Width">Bytes of a write, for those that match data.</param>
/// <param name="DataMatch">The value that a write must have, or null.</param>
/// <param name="Target">Signalled at a write.</param>
public readonly record struct RegisteredDoorbell(AddressSpaceKind Kind, ulong Address, int Width, ulong? DataMatch, EventFd Target)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Address:x}/{Width}{(DataMatch is { } match ? $"={match:x}" : string.Empty)}";
}
