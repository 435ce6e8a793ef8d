namespace Vmm.DeviceModel.Memory;

/// <summary>A virtual IOMMU as one device sees it.</summary>
public interface IDmaTranslator
{
    /// <summary>Translates the start of a range.</summary>
    /// <param name="iova">Device address.</param>
    /// <param name="length">Wanted bytes, at least 1.</param>
    /// <param name="write">True if the device will write.</param>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="contiguous">How many of the bytes are contiguous there, at least 1.</param>
    /// <returns>False if the address is not mapped for this access.</returns>
    bool TryTranslate(ulong iova, ulong length, bool write, out ulong address, out ulong contiguous);
}
