using System;

namespace Vmm.Machine.Devices;

/// <summary>Takes the characters that a serial port transmits, without making the guest wait.</summary>
/// <remarks>
/// One writer (the device, under its lock); <see cref="Drained"/> is raised on a thread of the sink, never from inside <see cref="Write"/>.
/// </remarks>
public interface ICharacterSink
{
    /// <summary>True while at least a FIFO's worth of characters (16) can be written without loss.</summary>
    bool HasRoom { get; }

    /// <summary>Takes a character; drops it if there is no room at all.</summary>
    /// <param name="value">The character.</param>
    void Write(byte value);

    /// <summary>What was written has gone out.</summary>
    event Action? Drained;
}
