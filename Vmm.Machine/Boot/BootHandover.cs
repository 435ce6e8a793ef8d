using System.Collections.Generic;
using Vmm.Machine.Layout;

namespace Vmm.Machine.Boot;

/// <summary>What a loaded kernel is told at its start.</summary>
/// <param name="CommandLineLength">Characters at <see cref="BootLayout.CommandLine"/>, without the terminating zero.</param>
/// <param name="InitramfsStart">First byte of the initramfs; 0 without one.</param>
/// <param name="InitramfsLength">Bytes of the initramfs; 0 without one.</param>
/// <param name="RootPointer">Address of the ACPI RSDP.</param>
/// <param name="MemoryMap">Sorted by address.</param>
internal sealed record BootHandover(
    int CommandLineLength,
    ulong InitramfsStart,
    ulong InitramfsLength,
    ulong RootPointer,
    IReadOnlyList<MemoryMapEntry> MemoryMap);
