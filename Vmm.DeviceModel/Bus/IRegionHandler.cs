namespace Vmm.DeviceModel.Bus;

/// <summary>The device side of a claimed region: what answers reads and writes of its bytes.</summary>
/// <remarks>
/// The bus calls with naturally aligned pieces of 1, 2, 4 or 8 bytes that lie wholly inside the region (BUS-3, BUS-4).
/// Calls come from any vCPU thread, several at once; the handler locks for itself, and never blocks for long unless its claim is declared
/// blocking (<see cref="Claim.IsBlocking"/>): every removal and move in the domain waits for it.
/// An exception marks the claim as faulted (BUS-8): it answers all-ones until it is taken out of the space and put back, one of a BAR until the
/// function leaves its bus. A handler that stands for several devices says whose it is instead (<see cref="IFaultContainment"/>). No guest access
/// should be able to cause one.
/// </remarks>
public interface IRegionHandler
{
    /// <summary>Reads <paramref name="width"/> bytes at <paramref name="offset"/> from the start of the region.</summary>
    /// <param name="offset">Byte offset in the region, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <returns>The value in the low bytes, little-endian; higher bytes are ignored by the caller.</returns>
    ulong Read(ulong offset, int width);

    /// <summary>Writes the low <paramref name="width"/> bytes of <paramref name="value"/> at <paramref name="offset"/>.</summary>
    /// <param name="offset">Byte offset in the region, a multiple of <paramref name="width"/>.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">The value, little-endian; bytes above the width are zero.</param>
    void Write(ulong offset, int width, ulong value);
}
