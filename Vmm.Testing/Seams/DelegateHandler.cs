using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.Testing.Seams;

/// <summary>A region answered by two functions, on the thread of each access.</summary>
/// <param name="read">Gives the value of a read by offset and width; without it reads give 0.</param>
/// <param name="write">Takes offset, width and value of a write; without it writes are ignored.</param>
public sealed class DelegateHandler(Func<ulong, int, ulong>? read = null, Action<ulong, int, ulong>? write = null) : IRegionHandler
{
    /// <inheritdoc/>
    public ulong Read(ulong offset, int width) => read?.Invoke(offset, width) ?? 0;

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value) => write?.Invoke(offset, width, value);
}
