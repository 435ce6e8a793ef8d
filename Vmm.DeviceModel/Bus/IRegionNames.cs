namespace Vmm.DeviceModel.Bus;

/// <summary>A handler that can name what lies in its region, for a trace.</summary>
public interface IRegionNames
{
    /// <summary>Names the byte at an offset, as its specification does: <c>common_cfg.queue_desc[1]+4</c>. Callable from any thread, at any time.</summary>
    /// <param name="offset">Byte offset in the region, also one outside it.</param>
    /// <param name="selected">The selector as <see cref="SelectedAt"/> gave it when the access was made.</param>
    string Describe(ulong offset, int selected);

    /// <summary>
    /// Which one is reached of several registers that share the offset, and of which another register selects one, as a queue's registers do.
    /// Called inside the access: it takes no lock and costs no more than a read of the selecting register.
    /// </summary>
    /// <param name="offset">Byte offset in the region.</param>
    /// <returns>The index, or -1 where there is only one.</returns>
    int SelectedAt(ulong offset) => -1;
}
