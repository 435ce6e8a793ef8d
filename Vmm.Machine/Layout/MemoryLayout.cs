using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Machine.Host;
using Vmm.Pci.Host;

namespace Vmm.Machine.Layout;

/// <summary>Where everything lies in guest-physical memory: RAM below and above the 32-bit hole, the PCI windows, the fixed devices.</summary>
/// <remarks>
/// <code>
/// 0x0000_0000  RAM, at most 3 GiB (0x9FC00 to 0xFFFFF reserved, the ACPI tables in it)
/// 0xC000_0000  window for 32-bit BARs
/// 0xE000_0000  ECAM, 256 buses
/// 0xFEC0_0000  I/O APIC, 0xFEE0_0000 local APICs, 0xFFFB_C000 what KVM needs on Intel
/// 4 GiB        RAM that did not fit below
/// above        windows for 64-bit BARs, to the end of what the processor addresses
/// </code>
/// Neither RAM nor a window lies from 0xFD_0000_0000 to 0xFF_FFFF_FFFF: there the I/O memory management units of AMD hosts translate nothing. This
/// holds on every host, so that what a guest sees does not depend on it. Immutable.
/// </remarks>
public sealed class MemoryLayout
{
    /// <summary>First address above low RAM at its largest: 3 GiB.</summary>
    public const ulong HoleStart = 0xC000_0000;

    /// <summary>First address above the 32-bit hole.</summary>
    public const ulong HoleEnd = 0x1_0000_0000;

    /// <summary>Start of the window for 32-bit BARs.</summary>
    public const ulong Pci32Start = HoleStart;

    /// <summary>Length of the window for 32-bit BARs: 512 MiB.</summary>
    public const ulong Pci32Length = 0x2000_0000;

    /// <summary>Start of the memory-mapped configuration space.</summary>
    public const ulong EcamStart = 0xE000_0000;

    /// <summary>Buses behind <see cref="EcamStart"/>, 1 MiB each.</summary>
    public const int EcamBuses = 256;

    /// <summary>Length of the memory-mapped configuration space.</summary>
    public const ulong EcamLength = (ulong)EcamBuses << 20;

    /// <summary>The I/O APIC.</summary>
    public const ulong IoApic = 0xFEC0_0000;

    /// <summary>The local APICs.</summary>
    public const ulong LocalApic = 0xFEE0_0000;

    /// <summary>One page for KVM's identity map, then three for its task state segment, all used on Intel only.</summary>
    public const ulong KvmPrivate = 0xFFFB_C000;

    /// <summary>First port of the window for I/O BARs.</summary>
    public const ushort PciPortStart = 0x1000;

    /// <summary>Ports of the window for I/O BARs: to the end of the port space.</summary>
    public const int PciPortLength = 0xF000;

    /// <summary>Start of what firmware would keep for itself below 640 KiB.</summary>
    public const ulong ExtendedBiosData = 0x9_FC00;

    /// <summary>Start of the read-only memory of a PC, where the ACPI tables lie.</summary>
    public const ulong AcpiTables = 0xE_0000;

    /// <summary>First address above the first MiB.</summary>
    public const ulong HighMemory = 0x10_0000;

    /// <summary>The least RAM a machine can have.</summary>
    public const ulong MinimumSize = 16 << 20;

    /// <summary>Start of what AMD processors keep for HyperTransport (AMD I/O Virtualization Technology specification, 2.1.2).</summary>
    public const ulong HyperTransportStart = 0xFD_0000_0000;

    /// <summary>First address above what AMD processors keep for HyperTransport: 1 TiB.</summary>
    public const ulong HyperTransportEnd = 0x100_0000_0000;

    private const ulong PageSize = 4096;
    private const ulong WindowAlignment = 1UL << 30;

    private MemoryLayout(ulong size, IReadOnlyList<GuestRange> ram, IReadOnlyList<GuestRange> windows, ulong addressable)
    {
        Size = size;
        Ram = ram;
        Pci64Windows = windows;
        Addressable = addressable;
    }

    /// <summary>Bytes of RAM.</summary>
    public ulong Size { get; }

    /// <summary>RAM by ascending address, in the order in which it lies in the host's mapping; the first range starts at 0.</summary>
    public IReadOnlyList<GuestRange> Ram { get; }

    /// <summary>Bytes of RAM from address 0.</summary>
    public ulong LowLength => Ram[0].Length;

    /// <summary>The windows for 64-bit BARs by ascending address: all that is free above RAM; none where RAM fills everything.</summary>
    public IReadOnlyList<GuestRange> Pci64Windows { get; }

    private ulong Addressable { get; }

    /// <summary>Lays out a machine.</summary>
    /// <param name="size">Bytes of RAM, a multiple of 4 KiB, at least <see cref="MinimumSize"/>.</param>
    /// <param name="physicalAddressBits">Width of a guest-physical address, 36 to 52 (CPUID 0x80000008).</param>
    /// <exception cref="MachineException">The size is too small, not a multiple of a page, or more than the processor can address.</exception>
    public static MemoryLayout Create(ulong size, int physicalAddressBits)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(physicalAddressBits, 33);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(physicalAddressBits, 52);
        string subject = MemorySize.Word(size);
        if (size < MinimumSize)
        {
            throw new MachineException("memory", subject, $"a machine needs at least {MinimumSize >> 20} MiB");
        }

        if ((size & 0xFFF) != 0)
        {
            throw new MachineException("memory", subject, "not a multiple of 4 KiB");
        }

        ulong addressable = 1UL << physicalAddressBits;
        var ram = new List<GuestRange> { Range(0, Math.Min(size, HoleStart)) };
        var windows = new List<GuestRange>();
        ulong left = size - ram[0].Length;
        ulong most = HoleStart;
        foreach (GuestRange space in HighSpaces(addressable))
        {
            ulong taken = Math.Min(left, space.Length);
            if (taken != 0)
            {
                ram.Add(Range(space.Address, taken));
            }

            AddWindow(windows, space.Address + taken, space.Address + space.Length);
            left -= taken;
            most += space.Length;
        }

        return left == 0
            ? new MemoryLayout(size, ram, windows, addressable)
            : throw new MachineException(
                "memory", subject, $"the processor addresses {physicalAddressBits} bits, that is {most >> 30} GiB of RAM at most");
    }

    /// <summary>The windows of the PCI host bridge: ports, 32-bit BARs, 64-bit BARs.</summary>
    public IReadOnlyList<PciWindow> CreatePciWindows()
    {
        return
        [
            new PciWindow(AddressSpaceKind.Port, PciPortStart, PciPortLength),
            new PciWindow(AddressSpaceKind.Memory, Pci32Start, Pci32Length),
            .. Pci64Windows.Select(static window => new PciWindow(AddressSpaceKind.Memory, window.Address, window.Length)),
        ];
    }

    /// <summary>The map that the guest's kernel is handed, sorted by address.</summary>
    public IReadOnlyList<MemoryMapEntry> CreateMemoryMap()
    {
        var map = new List<MemoryMapEntry>
        {
            new(0, ExtendedBiosData, MemoryMapType.Ram),
            new(ExtendedBiosData, 0xA_0000 - ExtendedBiosData, MemoryMapType.Reserved),
            new(AcpiTables, HighMemory - AcpiTables, MemoryMapType.Reserved),
            new(HighMemory, LowLength - HighMemory, MemoryMapType.Ram),
            new(EcamStart, EcamLength, MemoryMapType.Reserved),
            new(KvmPrivate, 4 * 4096, MemoryMapType.Reserved),
        };
        map.AddRange(Ram.Skip(1).Select(static range => new MemoryMapEntry(range.Address, range.Length, MemoryMapType.Ram)));
        if (Addressable > HyperTransportStart)
        {
            map.Add(new MemoryMapEntry(HyperTransportStart, HyperTransportEnd - HyperTransportStart, MemoryMapType.Reserved));
        }

        return [.. map.OrderBy(static entry => entry.Address)];
    }

    /// <summary>True if the range lies in RAM that a kernel may be loaded into: above the first MiB and below the hole.</summary>
    /// <param name="address">First byte.</param>
    /// <param name="length">Bytes.</param>
    public bool IsLoadable(ulong address, ulong length)
    {
        return address >= HighMemory && GuestRange.Fits(address, length, LowLength);
    }

    /// <summary>The ranges above 4 GiB that can be used.</summary>
    private static IEnumerable<GuestRange> HighSpaces(ulong addressable)
    {
        yield return Range(HoleEnd, Math.Min(addressable, HyperTransportStart) - HoleEnd);
        if (addressable > HyperTransportEnd)
        {
            yield return Range(HyperTransportEnd, addressable - HyperTransportEnd);
        }
    }

    /// <summary>Adds what lies from a round address above RAM to an end, from a less round one where RAM nearly fills the space.</summary>
    private static void AddWindow(List<GuestRange> windows, ulong ramEnd, ulong end)
    {
        ulong alignment = WindowAlignment;
        while (alignment > PageSize && AlignUp(ramEnd, alignment) >= end)
        {
            alignment /= 2;
        }

        ulong start = AlignUp(ramEnd, alignment);
        if (start < end)
        {
            windows.Add(Range(start, end - start));
        }
    }

    private static GuestRange Range(ulong address, ulong length)
    {
        return GuestRange.TryCreate(address, length, out GuestRange range) ? range : throw new ArgumentOutOfRangeException(nameof(length));
    }

    private static ulong AlignUp(ulong value, ulong alignment) => (value + alignment - 1) & ~(alignment - 1);
}
