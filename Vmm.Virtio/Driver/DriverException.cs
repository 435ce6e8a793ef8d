using System;

namespace Vmm.Virtio.Driver;

/// <summary>A device did not do what a driver needs of it.</summary>
public sealed class DriverException : Exception
{
    /// <summary>Names the step and what was wrong.</summary>
    /// <param name="step">The step of discovery, initialisation or use that failed.</param>
    /// <param name="message">What was expected and what was seen.</param>
    public DriverException(string step, string message)
        : base($"{step}: {message}")
    {
        Step = step;
    }

    /// <summary>The step that failed.</summary>
    public string Step { get; }
}
