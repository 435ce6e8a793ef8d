namespace Vmm.DeviceModel.Memory;

/// <summary>Remembers which guest memory devices have written (MEM-5).</summary>
public interface IDirtyTracker
{
    /// <summary>Marks a range as written. Callable from any thread; allocates nothing.</summary>
    /// <param name="address">Guest-physical address.</param>
    /// <param name="length">Bytes.</param>
    void MarkDirty(ulong address, ulong length);
}
