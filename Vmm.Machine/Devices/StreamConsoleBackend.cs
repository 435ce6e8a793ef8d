using System;
using System.IO;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Devices;

/// <summary>The virtio console's output on a stream of the embedder's; there is no input.</summary>
/// <remarks>Belongs to the device's worker, which waits for the stream as long as a write takes. The stream stays the embedder's.</remarks>
internal sealed class StreamConsoleBackend(Stream stream) : IConsoleBackend
{
    private const int None = -1;

    private bool _broken;

    public int InputDescriptor => None;

    public int OutputDescriptor => None;

    public int Write(ReadOnlySpan<byte> output)
    {
        if (!_broken)
        {
            try
            {
                stream.Write(output);
                stream.Flush();
            }
            catch (Exception)
            {
                // Whatever the embedder's code throws: the guest goes on, its output vanishes.
                _broken = true;
            }
        }

        return output.Length;
    }

    public bool Read(Span<byte> input, out int received)
    {
        received = 0;
        return false;
    }

    public void Dispose()
    {
    }
}
