using System;
using Vmm.DeviceModel.Interop;
using Vmm.Machine.Host;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Devices;

/// <summary>The virtio console's end on a pseudo-terminal, whether somebody has it open or not.</summary>
/// <remarks>Belongs to the device's worker once it is handed over.</remarks>
/// <param name="terminal">The terminal.</param>
/// <param name="owned">It is closed with the backend.</param>
internal sealed class TerminalConsoleBackend(PseudoTerminal terminal, bool owned) : IConsoleBackend
{
    /// <summary>Where it can be opened.</summary>
    public string Path => terminal.Path;

    /// <inheritdoc/>
    public int InputDescriptor => terminal.Descriptor;

    /// <inheritdoc/>
    public int OutputDescriptor => terminal.Descriptor;

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> output)
    {
        int error = DescriptorIo.WriteSome(terminal.Descriptor, output, out int written);
        return error is 0 or Errno.EAGAIN ? written : -1;
    }

    /// <inheritdoc/>
    public bool Read(Span<byte> input, out int received)
    {
        int error = DescriptorIo.Read(terminal.Descriptor, input, out received);
        return error == Errno.EAGAIN || (error == 0 && received > 0);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (owned)
        {
            terminal.Dispose();
        }
    }
}
