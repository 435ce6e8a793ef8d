using System;
using Vmm.DeviceModel.Interop;

namespace Vmm.Virtio.Devices;

/// <summary>A console on file descriptors: a terminal, a pipe or a file.</summary>
/// <remarks>The modes of a terminal (raw input) are the embedder's business.</remarks>
public sealed class DescriptorConsoleBackend : IConsoleBackend
{
    // A pipe that polls writable takes this much without blocking, for a descriptor that cannot be opened once more.
    private const int AtOnce = 4096;

    private readonly FileDescriptor? _owned;

    /// <summary>Uses descriptors of the caller, who closes them after the device is gone.</summary>
    /// <param name="inputDescriptor">For example 0, or -1 for no input.</param>
    /// <param name="outputDescriptor">For example 1.</param>
    public DescriptorConsoleBackend(int inputDescriptor, int outputDescriptor)
    {
        InputDescriptor = inputDescriptor;
        _owned = DescriptorIo.ReopenForOutput(outputDescriptor);
        OutputDescriptor = _owned?.Number ?? outputDescriptor;
    }

    private DescriptorConsoleBackend(FileDescriptor owned)
    {
        InputDescriptor = -1;
        OutputDescriptor = owned.Number;
        _owned = owned;
    }

    /// <inheritdoc/>
    public int InputDescriptor { get; }

    /// <inheritdoc/>
    public int OutputDescriptor { get; }

    /// <summary>Writes output to a file, which is made or emptied; there is no input.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="BackendException">It cannot be opened for writing.</exception>
    public static DescriptorConsoleBackend CreateFile(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        int error = DescriptorIo.Open(path, Libc.O_WRONLY | Libc.O_CREAT | Libc.O_TRUNC | Libc.O_NONBLOCK, out FileDescriptor file, 0x1a4);
        if (error != 0)
        {
            throw new BackendException("open", path, error, "cannot be opened for the console's output");
        }

        return new DescriptorConsoleBackend(file);
    }

    /// <inheritdoc/>
    public int Write(ReadOnlySpan<byte> output)
    {
        int taken = 0;
        while (taken < output.Length && DescriptorIo.WaitWritable(OutputDescriptor, 0))
        {
            ReadOnlySpan<byte> next = output[taken..];
            int error = DescriptorIo.WriteSome(OutputDescriptor, next[..Math.Min(next.Length, AtOnce)], out int sent);
            if (error == Errno.EAGAIN)
            {
                break;
            }

            if (error != 0)
            {
                return -1;
            }

            taken += sent;
        }

        return taken;
    }

    /// <inheritdoc/>
    public bool Read(Span<byte> input, out int received)
    {
        int error = DescriptorIo.Read(InputDescriptor, input, out received);
        return error == Errno.EAGAIN || (error == 0 && received > 0);
    }

    /// <summary>Closes what was opened here.</summary>
    public void Dispose() => _owned?.Dispose();
}
