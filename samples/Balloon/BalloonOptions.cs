using Vmm.Virtio.Devices;

namespace Samples.Balloon;

/// <summary>How a <see cref="BalloonDevice"/> is made: as every device.</summary>
public sealed record BalloonOptions : VirtioDeviceOptions;
