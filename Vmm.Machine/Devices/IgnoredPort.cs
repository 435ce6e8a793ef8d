using Vmm.DeviceModel.Bus;

namespace Vmm.Machine.Devices;

/// <summary>
/// A port that is written for its side effect on nobody, such as the delay port 0x80: reads give ones, writes vanish, nothing is logged.
/// </summary>
public sealed class IgnoredPort : IRegionHandler
{
    /// <inheritdoc/>
    public ulong Read(ulong offset, int width) => ulong.MaxValue;

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
    }
}
