using System.Diagnostics.CodeAnalysis;

namespace Vmm.DeviceModel.Bus;

/// <summary>A handler that stands for several devices and knows, for a trace, which of them an access reaches.</summary>
public interface IRegionRouter
{
    /// <summary>Finds the device behind an offset. Called inside the access: it takes no lock and allocates nothing.</summary>
    /// <param name="offset">Byte offset in the region.</param>
    /// <param name="device">The device's name.</param>
    /// <param name="names">Names what lies there.</param>
    /// <param name="inside">The offset for <paramref name="names"/>.</param>
    /// <returns>False if no device is there.</returns>
    bool TryRoute(ulong offset, [NotNullWhen(true)] out string? device, [NotNullWhen(true)] out IRegionNames? names, out ulong inside);
}
