using System.Collections.Generic;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

/// <summary>Remembers what was marked.</summary>
internal sealed class RecordingDirtyTracker : IDirtyTracker
{
    public List<(ulong Address, ulong Length)> Marks { get; } = [];

    public void MarkDirty(ulong address, ulong length) => Marks.Add((address, length));
}
