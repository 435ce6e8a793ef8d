using System;
using System.Buffers.Binary;
using System.IO;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Boot;

/// <summary>A kernel file whose format was recognised and whose headers were checked, ready to be loaded.</summary>
public abstract class KernelImage : IDisposable
{
    private protected KernelImage(string path, SafeFileHandle file, long fileLength)
    {
        Path = path;
        File = file;
        FileLength = fileLength;
    }

    /// <summary>The file.</summary>
    public string Path { get; }

    /// <summary>How the kernel is entered.</summary>
    public abstract BootProtocol Protocol { get; }

    /// <summary>The longest command line that the kernel takes, in characters.</summary>
    public abstract int CommandLineLimit { get; }

    /// <summary>Highest address that a byte of the initramfs may have.</summary>
    public abstract ulong InitramfsLimit { get; }

    /// <summary>First byte that the kernel is loaded to; valid after <see cref="Place"/>.</summary>
    public abstract ulong Start { get; }

    /// <summary>First byte after what the kernel needs; valid after <see cref="Place"/>.</summary>
    public abstract ulong End { get; }

    private protected SafeFileHandle File { get; }

    private protected long FileLength { get; }

    /// <summary>Opens a kernel: a bzImage, or an ELF vmlinux with a PVH entry.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="KernelLoadException">The file cannot be opened or is neither; the message says which check failed.</exception>
    public static KernelImage Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle file = GuestLoader.Open("kernel", path);
        try
        {
            long length = RandomAccess.GetLength(file);
            byte[] head = new byte[(int)Math.Min(length, BzImage.HeaderLength)];
            GuestLoader.ReadExactly(file, head, 0, "kernel", path);
            if (head.Length >= 4 && BinaryPrimitives.ReadUInt32BigEndian(head) == PvhElf.Magic)
            {
                return new PvhElf(path, file, length);
            }

            if (BzImage.IsRecognised(head))
            {
                return new BzImage(path, file, length, head);
            }

            throw new KernelLoadException("kernel", path, "neither a bzImage nor an ELF vmlinux");
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Decides where the kernel goes.</summary>
    /// <param name="layout">RAM.</param>
    /// <exception cref="KernelLoadException">It does not fit.</exception>
    public abstract void Place(MemoryLayout layout);

    /// <summary>Copies the kernel to its place and writes what it reads at its start.</summary>
    /// <param name="memory">Guest RAM, zero-filled.</param>
    /// <param name="handover">Command line, initramfs, memory map and ACPI tables.</param>
    internal abstract BootState Load(GuestMemory memory, BootHandover handover);

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the file.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            File.Dispose();
        }
    }
}
