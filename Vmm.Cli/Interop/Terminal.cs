using System;

namespace Vmm.Cli.Interop;

/// <summary>Gives the guest every key while it lives; puts the terminal back when it is disposed.</summary>
internal sealed unsafe class Terminal : IDisposable
{
    private const int StandardInput = 0;
    private const int Now = 0;                                  // TCSANOW

    private readonly byte[] _saved;
    private bool _disposed;

    private Terminal(byte[] saved) => _saved = saved;

    /// <summary>Switches standard input to raw mode.</summary>
    /// <returns>Null if it is no terminal.</returns>
    public static Terminal? TryMakeRaw()
    {
        if (TerminalCalls.isatty(StandardInput) == 0)
        {
            return null;
        }

        byte[] saved = new byte[TerminalCalls.AttributesLength];
        fixed (byte* pointer = saved)
        {
            if (TerminalCalls.tcgetattr(StandardInput, pointer) != 0)
            {
                return null;
            }
        }

        byte* raw = stackalloc byte[TerminalCalls.AttributesLength];
        saved.CopyTo(new Span<byte>(raw, TerminalCalls.AttributesLength));
        TerminalCalls.cfmakeraw(raw);

        // Lines that we write ourselves still have to start at the left.
        raw[TerminalCalls.OutputFlags] |= TerminalCalls.OutputProcessing;
        return TerminalCalls.tcsetattr(StandardInput, Now, raw) == 0 ? new Terminal(saved) : null;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        fixed (byte* pointer = _saved)
        {
            _ = TerminalCalls.tcsetattr(StandardInput, Now, pointer);
        }
    }
}
