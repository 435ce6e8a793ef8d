using Vmm.DeviceModel.Bus;

namespace Vmm.Testing.Seams;

/// <summary>Answers every read with one byte, repeated, and ignores writes; for any number of threads.</summary>
/// <param name="value">The byte.</param>
public sealed class ConstantHandler(byte value) : IRegionHandler
{
    private readonly ulong _value = value * 0x0101_0101_0101_0101UL;

    /// <inheritdoc/>
    public ulong Read(ulong offset, int width) => _value;

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value)
    {
    }
}
