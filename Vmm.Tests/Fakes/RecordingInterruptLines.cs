using System.Collections.Concurrent;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Tests.Fakes;

/// <summary>Wires that remember their level and how often it changed.</summary>
public sealed class RecordingInterruptLines : IInterruptLines
{
    private readonly ConcurrentDictionary<int, RecordingInterruptLine> _lines = new();

    /// <summary>The wire of a GSI, to look at.</summary>
    public RecordingInterruptLine this[int gsi] => _lines.GetOrAdd(gsi, static _ => new RecordingInterruptLine());

    public IInterruptLine GetLine(int gsi) => this[gsi];
}
