using System;
using Vmm.DeviceModel.Interop;
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

    /// <summary>Opens what the options say.</summary>
    /// <param name="options">The terminal, a file or a stream.</param>
    /// <param name="append">The file keeps what it holds.</param>
    /// <param name="escape">Called when Ctrl-A x is typed, or null to pass everything on.</param>
    /// <exception cref="MachineException">The file cannot be opened.</exception>
    public static IConsoleBackend Open(CharacterOptions options, bool append, Action? escape)
    {
        if (options.Kind == CharacterKind.Stream)
        {
            return new StreamConsoleBackend(options.CheckedOutput);
        }

        if (options.Kind == CharacterKind.File)
        {
            FileDescriptor file = OutputFile.Open("console", options, append);
            return new ConsoleBackend(new DescriptorConsoleBackend(None, file.Number), file, null);
        }

        // Files and /dev/null cannot be waited for.
        int input = DescriptorIo.CanWatch(StandardInput) ? StandardInput : None;
        EscapeFilter? filter = escape is null ? null : new EscapeFilter(escape);
        return new ConsoleBackend(new DescriptorConsoleBackend(input, StandardOutput), null, filter);
    }

    /// <inheritdoc/>
    public int OutputDescriptor => _inner.OutputDescriptor;

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
