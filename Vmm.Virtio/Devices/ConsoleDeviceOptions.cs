namespace Vmm.Virtio.Devices;

/// <summary>How a <see cref="ConsoleDevice"/> is made.</summary>
public sealed record ConsoleDeviceOptions : VirtioDeviceOptions
{
    /// <summary>Columns of the screen; with <see cref="Rows"/> 0, the size is not offered.</summary>
    public ushort Columns { get; init; }

    /// <summary>Rows of the screen.</summary>
    public ushort Rows { get; init; }
}
