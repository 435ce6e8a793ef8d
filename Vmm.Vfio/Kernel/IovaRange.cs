using Vmm.DeviceModel.Memory;

namespace Vmm.Vfio.Kernel;

/// <summary>Ranges as kernels name them, by first and last address.</summary>
internal static class IovaRange
{
    /// <summary>Makes a range; the whole space loses its last byte, whose length has no 64 bits.</summary>
    /// <returns>Null if the last address lies before the first.</returns>
    public static GuestRange? FromLimits(ulong first, ulong last)
    {
        ulong length = last - first == ulong.MaxValue ? ulong.MaxValue : last - first + 1;
        return last >= first && GuestRange.TryCreate(first, length, out GuestRange range) ? range : null;
    }
}
