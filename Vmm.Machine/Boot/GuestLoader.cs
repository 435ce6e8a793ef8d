using System;
using System.IO;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;

namespace Vmm.Machine.Boot;

/// <summary>Copies files and bytes into the memory of a guest that does not run yet.</summary>
internal static class GuestLoader
{
    private const int Chunk = 64 << 20;

    /// <summary>Opens a file for loading; refuses what is not a regular file.</summary>
    public static SafeFileHandle Open(string part, string path)
    {
        if (Directory.Exists(path))
        {
            throw new KernelLoadException(part, path, "is a directory");
        }

        // A pipe would be waited for: looked at first, without waiting for its writer.
        if (DescriptorIo.Open(path, Libc.O_RDONLY | Libc.O_NONBLOCK | Libc.O_NOCTTY, out FileDescriptor probe) == 0)
        {
            using (probe)
            {
                if (Libc.lseek(probe, 0, Libc.SEEK_CUR) < 0)
                {
                    throw new KernelLoadException(part, path, "is not a regular file");
                }
            }
        }

        try
        {
            SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            try
            {
                _ = RandomAccess.GetLength(handle);
            }
            catch (NotSupportedException e)
            {
                handle.Dispose();
                throw new KernelLoadException(part, path, "is not a regular file", e);
            }

            return handle;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new KernelLoadException(part, path, "no such file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new KernelLoadException(part, path, "permission denied", e);
        }
        catch (Exception e) when (e is IOException or ArgumentException or NotSupportedException)
        {
            throw new KernelLoadException(part, path, FirstLine(e.Message), e);
        }
    }

    /// <summary>Copies bytes; the caller has checked that they fit.</summary>
    public static void Write(GuestMemory memory, ulong address, ReadOnlySpan<byte> bytes)
    {
        if (!memory.TryWrite(address, bytes))
        {
            throw new InvalidOperationException($"0x{address:x}, {bytes.Length} bytes: not RAM");
        }
    }

    /// <summary>Reads a part of a file straight into guest memory.</summary>
    public static void Load(GuestMemory memory, ulong address, SafeFileHandle file, long offset, ulong length, string part, string path)
    {
        using (memory.Domain.Enter())
        {
            while (length != 0)
            {
                int chunk = (int)Math.Min(length, Chunk);
                if (!memory.Current.TryGetWindow(address, chunk, out GuestWindow window))
                {
                    throw new InvalidOperationException($"0x{address:x}, {chunk} bytes: not RAM");
                }

                ReadExactly(file, window.Span, offset, part, path);
                address += (ulong)chunk;
                offset += chunk;
                length -= (ulong)chunk;
            }
        }
    }

    /// <summary>Fills a buffer from a file.</summary>
    public static void ReadExactly(SafeFileHandle file, Span<byte> destination, long offset, string part, string path)
    {
        try
        {
            while (!destination.IsEmpty)
            {
                int read = RandomAccess.Read(file, destination, offset);
                if (read == 0)
                {
                    throw new KernelLoadException(part, path, $"truncated: it ends at byte {offset}");
                }

                destination = destination[read..];
                offset += read;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new KernelLoadException(part, path, FirstLine(e.Message), e);
        }
    }

    private static string FirstLine(string message)
    {
        int end = message.AsSpan().IndexOfAny('\r', '\n');
        return end < 0 ? message : message[..end];
    }
}
