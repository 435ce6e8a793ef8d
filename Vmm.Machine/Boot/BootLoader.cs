using System;
using System.IO;
using System.Text;
using Microsoft.Win32.SafeHandles;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Boot;

/// <summary>Puts a kernel, its initramfs and its command line into guest memory, as a firmware and a boot loader would.</summary>
public static class BootLoader
{
    /// <summary>Loads everything.</summary>
    /// <param name="memory">Guest RAM as <paramref name="layout"/> says, zero-filled.</param>
    /// <param name="layout">Where RAM is.</param>
    /// <param name="kernel">An opened kernel.</param>
    /// <param name="initramfsPath">The initramfs, or null.</param>
    /// <param name="commandLine">The kernel's command line.</param>
    /// <param name="rootPointer">Guest-physical address of the ACPI RSDP.</param>
    /// <returns>How to start the first vCPU.</returns>
    /// <exception cref="KernelLoadException">A file cannot be read or does not fit.</exception>
    public static BootState Load(
        GuestMemory memory, MemoryLayout layout, KernelImage kernel, string? initramfsPath, string commandLine, ulong rootPointer)
    {
        ArgumentNullException.ThrowIfNull(memory);
        ArgumentNullException.ThrowIfNull(layout);
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(commandLine);
        byte[] words = Encoding.UTF8.GetBytes(commandLine);
        if (words.Length > kernel.CommandLineLimit)
        {
            throw new KernelLoadException("cmdline", null, $"{words.Length} bytes, the kernel takes at most {kernel.CommandLineLimit}");
        }

        if (words.AsSpan().Contains((byte)0))
        {
            throw new KernelLoadException("cmdline", null, "contains a NUL character");
        }

        kernel.Place(layout);
        ulong start = 0;
        ulong length = 0;
        if (initramfsPath is not null)
        {
            (start, length) = LoadInitramfs(memory, layout, kernel, initramfsPath);
        }

        GuestLoader.Write(memory, BootLayout.CommandLine, words);
        GuestLoader.Write(memory, BootLayout.CommandLine + (ulong)words.Length, [0]);
        return kernel.Load(memory, new BootHandover(words.Length, start, length, rootPointer, layout.CreateMemoryMap()));
    }

    /// <summary>As high as the kernel allows, so that it has room to unpack itself.</summary>
    private static (ulong Start, ulong Length) LoadInitramfs(GuestMemory memory, MemoryLayout layout, KernelImage kernel, string path)
    {
        using SafeFileHandle file = GuestLoader.Open("initramfs", path);
        ulong length = (ulong)RandomAccess.GetLength(file);
        if (length == 0)
        {
            throw new KernelLoadException("initramfs", path, "is empty");
        }

        ulong top = Math.Min(layout.LowLength, kernel.InitramfsLimit + 1);
        ulong room = top > kernel.End ? top - kernel.End : 0;
        ulong start = (top - Math.Min(length, top)) & ~0xFFFUL;
        if (length > room || start < kernel.End)
        {
            throw new KernelLoadException(
                "initramfs", path,
                $"{length} bytes do not fit: beside the kernel there is room for {room} bytes of RAM below 0x{top:x}; give more memory");
        }

        GuestLoader.Load(memory, start, file, 0, length, "initramfs", path);
        return (start, length);
    }
}
