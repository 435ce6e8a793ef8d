using Vmm.DeviceModel.State;

namespace Vmm.Machine.State;

/// <summary>Checks of registers of one byte in saved states.</summary>
internal static class StateBits
{
    /// <summary>Refuses a value with bits that its register does not have.</summary>
    /// <param name="member">Name of the member.</param>
    /// <param name="value">Its value.</param>
    /// <param name="bits">Those that there are.</param>
    /// <exception cref="StateException">It has others.</exception>
    public static void Require(string member, byte value, byte bits)
    {
        SavedState.Require((value & ~bits) == 0, member, $"bits of 0x{bits:x2}", $"0x{value:x2}");
    }
}
