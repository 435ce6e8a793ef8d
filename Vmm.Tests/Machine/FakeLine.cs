using System.Collections.Generic;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Tests.Machine;

/// <summary>Remembers the levels it was driven to.</summary>
internal sealed class FakeLine : IInterruptLine
{
    public List<bool> Changes { get; } = [];

    public bool Asserted => Changes.Count != 0 && Changes[^1];

    public void SetLevel(bool asserted) => Changes.Add(asserted);
}
