using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>A wire that remembers the levels it was driven to. Thread-safe.</summary>
public sealed class RecordingInterruptLine : IInterruptLine
{
    private readonly Lock _lock = new();
    private readonly List<bool> _levels = [];

    /// <summary>The level now.</summary>
    public bool IsAsserted { get; private set; }

    /// <summary>Runs when the wire is driven, on that thread.</summary>
    public Action<bool>? Driven { get; set; }

    /// <summary>Every level it was driven to, repeats included.</summary>
    public IReadOnlyList<bool> Levels
    {
        get
        {
            lock (_lock)
            {
                return _levels.ToArray();
            }
        }
    }

    /// <inheritdoc/>
    public void SetLevel(bool asserted)
    {
        lock (_lock)
        {
            IsAsserted = asserted;
            _levels.Add(asserted);
        }

        Driven?.Invoke(asserted);
    }
}
