using System;

namespace Vmm.Virtio.Devices;

/// <summary>The host's end of a console: where the guest's output goes and its input comes from.</summary>
/// <remarks>Called on the device's worker. No method throws, and none waits for ever: output that nobody takes is dropped.</remarks>
public interface IConsoleBackend : IDisposable
{
    /// <summary>A descriptor that polls readable when there is input, or -1 if there never is.</summary>
    int InputDescriptor { get; }

    /// <summary>Takes output.</summary>
    /// <param name="output">What the guest wrote.</param>
    void Write(ReadOnlySpan<byte> output);

    /// <summary>Gives input.</summary>
    /// <param name="input">Room for it.</param>
    /// <param name="received">Bytes given; 0 if there are none now.</param>
    /// <returns>False at the end of the input.</returns>
    bool Read(Span<byte> input, out int received);
}
