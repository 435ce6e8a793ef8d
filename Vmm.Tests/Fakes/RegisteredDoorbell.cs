using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.Fakes;

/// <summary>A doorbell of <see cref="RecordingDoorbells"/>.</summary>
public readonly record struct RegisteredDoorbell(AddressSpaceKind Kind, ulong Address, int Width, ulong? DataMatch, EventFd Target)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Address:x}/{Width}{(DataMatch is { } match ? $"={match:x}" : string.Empty)}";
}
