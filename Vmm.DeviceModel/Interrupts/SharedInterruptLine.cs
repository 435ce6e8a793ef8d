using System;
using System.Threading;

namespace Vmm.DeviceModel.Interrupts;

/// <summary>ORs several level sources onto one wire (PCI-9).</summary>
/// <remarks>
/// Thread-safe. The lock covers only the count and the call to the wire below, so that two sources that change at once
/// cannot leave the wire at a stale level; nothing below takes a lock of ours.
/// </remarks>
public sealed class SharedInterruptLine
{
    private readonly IInterruptLine _wire;
    private readonly Lock _lock = new();
    private int _asserted;

    /// <summary>Shares a wire.</summary>
    /// <param name="wire">Asserted while any source is.</param>
    public SharedInterruptLine(IInterruptLine wire)
    {
        ArgumentNullException.ThrowIfNull(wire);
        _wire = wire;
    }

    /// <summary>How many sources assert now.</summary>
    public int AssertedSources => Volatile.Read(ref _asserted);

    /// <summary>A new, de-asserted source.</summary>
    public IInterruptLine CreateSource() => new Source(this);

    private void Change(Source source, bool asserted)
    {
        lock (_lock)
        {
            if (source.Asserted == asserted)
            {
                return;
            }

            source.Asserted = asserted;
            bool before = _asserted != 0;
            _asserted += asserted ? 1 : -1;
            bool after = _asserted != 0;
            if (before != after)
            {
                _wire.SetLevel(after);
            }
        }
    }

    private sealed class Source(SharedInterruptLine line) : IInterruptLine
    {
        public bool Asserted { get; set; }

        public void SetLevel(bool asserted)
        {
            line.Change(this, asserted);
        }
    }
}
