using System;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.Fakes;

/// <summary>A region answered by two functions.</summary>
public sealed class DelegateHandler(Func<ulong, int, ulong>? read = null, Action<ulong, int, ulong>? write = null) : IRegionHandler
{
    /// <inheritdoc/>
    public ulong Read(ulong offset, int width) => read?.Invoke(offset, width) ?? 0;

    /// <inheritdoc/>
    public void Write(ulong offset, int width, ulong value) => write?.Invoke(offset, width, value);
}
