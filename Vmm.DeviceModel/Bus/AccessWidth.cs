using System.Runtime.CompilerServices;

namespace Vmm.DeviceModel.Bus;

/// <summary>Arithmetic of access widths.</summary>
public static class AccessWidth
{
    /// <summary>The bits that an access of some bytes carries: ones below, zeroes above.</summary>
    /// <param name="width">1 to 8 bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mask(int width) => ulong.MaxValue >> -(width << 3);
}
