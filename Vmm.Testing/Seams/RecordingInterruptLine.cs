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
    private volatile bool _asserted;

    /// <summary>The level now.</summary>
    public bool IsAsserted => _asserted;

    /// <summary>Runs when the wire is driven, on that thread.</summary>
    public Action<bool>? Driven { get; set; }

    private event Action? Asserted;

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
            _asserted = asserted;
            _levels.Add(asserted);
        }

        Driven?.Invoke(asserted);
        if (asserted)
        {
            Asserted?.Invoke();
        }
    }

    /// <summary>Has somebody told when the wire is asserted, and at once if it is so already.</summary>
    /// <param name="asserted">Called on the thread that drives the wire or acknowledges it; must not block or throw.</param>
    /// <returns>Disposing ends it.</returns>
    public IDisposable Listen(Action asserted)
    {
        ArgumentNullException.ThrowIfNull(asserted);
        Asserted += asserted;
        if (IsAsserted)
        {
            asserted();
        }

        return new Listener(this, asserted);
    }

    /// <summary>An end of interrupt: everybody who listens is told again if the wire is still asserted, as several may share it.</summary>
    public void Acknowledge()
    {
        if (IsAsserted)
        {
            Asserted?.Invoke();
        }
    }

    private sealed class Listener(RecordingInterruptLine line, Action asserted) : IDisposable
    {
        public void Dispose() => line.Asserted -= asserted;
    }
}
