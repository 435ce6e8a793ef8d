using System;
using Vmm.DeviceModel.Interop;
using Vmm.Machine.Host;
using Vmm.Virtio.Devices;

namespace Vmm.Machine.Devices;

/// <summary>The virtio console's end on a terminal or a file.</summary>
/// <remarks>Belongs to the device's worker once it is handed over.</remarks>
internal sealed class ConsoleBackend : IConsoleBackend
{
    private const int StandardInput = 0;
    private const int StandardOutput = 1;
    private const int None = -1;

    private readonly DescriptorConsoleBackend _inner;
    private readonly FileDescriptor? _file;
    private readonly EscapeFilter? _filter;

    private ConsoleBackend(DescriptorConsoleBackend inner, FileDescriptor? file, EscapeFilter? filter)
    {
        _inner = inner;
        _file = file;
        _filter = filter;
    }

    /// <inheritdoc/>
    public int InputDescriptor => _inner.InputDescriptor;

    /// <inheritdoc/>
    public int OutputDescriptor => _inner.OutputDescriptor;

    /// <summary>Opens a file for the guest's output; there is no input.</summary>
    /// <param name="path">Where it is.</param>
    /// <param name="append">It keeps what it holds.</param>
    /// <exception cref="MachineException">It cannot be opened.</exception>
    public static ConsoleBackend OpenFile(string path, bool append)
    {
        FileDescriptor file = OutputFile.Open("console", path, append);
        return new ConsoleBackend(new DescriptorConsoleBackend(None, file.Number), file, null);
    }

    /// <summary>Takes standard input and output of the process.</summary>
    /// <param name="escape">Called when Ctrl-A x is typed, or null to pass everything on.</param>
    public static ConsoleBackend OpenTerminal(Action? escape)
    {
        // Files and /dev/null cannot be waited for.
        int input = DescriptorIo.CanWatch(StandardInput) ? StandardInput : None;
        EscapeFilter? filter = escape is null ? null : new EscapeFilter(escape);
        return new ConsoleBackend(new DescriptorConsoleBackend(input, StandardOutput), null, filter);
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> output) => _inner.Write(output);

    /// <inheritdoc/>
    public bool Read(Span<byte> input, out int received)
    {
        bool more = _inner.Read(input, out received);
        if (_filter is not null && received > 0)
        {
            received = _filter.Apply(input[..received]);
        }

        return more;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _inner.Dispose();
        _file?.Dispose();
    }
}
