using System;

namespace Vmm.Virtio.Devices;

/// <summary>The host's end of a console: where the guest's output goes and its input comes from.</summary>
/// <remarks>Called on the device's worker. No method throws or waits.</remarks>
public interface IConsoleBackend : IDisposable
{
    /// <summary>A descriptor that polls readable when there is input, or -1 if there never is.</summary>
    int InputDescriptor { get; }

    /// <summary>A descriptor that polls writable when there is room for output again, or -1 if there always is.</summary>
    int OutputDescriptor { get; }

    /// <summary>Takes output, as much as there is room for now.</summary>
    /// <param name="output">Bytes from the guest, at least one.</param>
    /// <returns>Bytes taken; 0 if there is no room now; negative if there never will be, because the other end is gone.</returns>
    int Write(ReadOnlySpan<byte> output);

    /// <summary>Gives input.</summary>
    /// <param name="input">Room for it.</param>
    /// <param name="received">Bytes given; 0 if there are none now.</param>
    /// <returns>False at the end of the input.</returns>
    bool Read(Span<byte> input, out int received);
}
