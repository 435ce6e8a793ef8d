using System;

namespace Vmm.Machine.Devices;

/// <summary>A sink that forgets what it is given.</summary>
public sealed class NullSink : ICharacterSink
{
    /// <inheritdoc/>
    public event Action? Drained
    {
        add { }
        remove { }
    }

    /// <inheritdoc/>
    public bool HasRoom => true;

    /// <inheritdoc/>
    public void Write(byte value)
    {
    }
}
