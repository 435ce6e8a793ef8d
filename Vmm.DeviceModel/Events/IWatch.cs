using System;

namespace Vmm.DeviceModel.Events;

/// <summary>A descriptor that a <see cref="Worker"/> watches. Disposing stops the watch.</summary>
public interface IWatch : IDisposable
{
    /// <summary>Whether readiness runs the callback; switch off while there is nowhere to put the data (no back-pressure spin).</summary>
    bool Enabled { get; set; }

    /// <summary>Stops watching as disposing does, and does not wait for a callback that runs now; it does not run again.</summary>
    void Cancel();
}
