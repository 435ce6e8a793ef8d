using System;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Machine.Host;

namespace Vmm.Machine.Devices;

/// <summary>A sink that writes to a pseudo-terminal, whether somebody reads it or not.</summary>
/// <remarks>
/// A reader that takes nothing for half a second is given up: what the terminal has no room for is dropped then, at once, until it has room again.
/// </remarks>
internal sealed class TerminalSink : BufferedSink
{
    private const int PollMilliseconds = 50;
    private const int PatienceMilliseconds = 500;

    private readonly PseudoTerminal _terminal;
    private bool _givenUp;

    /// <summary>Makes a sink.</summary>
    /// <param name="worker">Writes; not running yet or running. It is stopped before the sink is disposed.</param>
    /// <param name="terminal">Stays open until the sink is disposed.</param>
    public TerminalSink(Worker worker, PseudoTerminal terminal)
        : base(worker)
    {
        _terminal = terminal;
    }

    /// <inheritdoc/>
    protected override int WriteChunk(ReadOnlySpan<byte> bytes)
    {
        long since = Environment.TickCount64;
        while (!IsAbandoned)
        {
            int error = DescriptorIo.WriteSome(_terminal.Descriptor, bytes, out int written);
            if (written > 0)
            {
                _givenUp = false;
                return written;
            }

            _givenUp |= Environment.TickCount64 - since >= PatienceMilliseconds;
            if (_givenUp || error != Errno.EAGAIN)
            {
                break;
            }

            DescriptorIo.WaitWritable(_terminal.Descriptor, PollMilliseconds);
        }

        return bytes.Length;
    }
}
