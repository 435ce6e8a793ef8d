using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using Vmm.Pci.Access;

namespace Vmm.Tests.Fakes;

/// <summary>A device of <see cref="FakeVfioKernel"/>: what it has, and what was done to it.</summary>
internal sealed class FakeVfioDevice
{
    private readonly FakeVfioKernel _kernel;

    public FakeVfioDevice(FakeVfioKernel kernel, string address, int group)
    {
        (_kernel, Address, Group) = (kernel, address, group);
        for (int i = 0; i < Regions.Length; i++)
        {
            Regions[i] = new FakeVfioRegion();
        }

        Configuration.Size = 0x1000;
        Interrupts[(int)PciInterruptIndex.Request] = new FakeVfioInterrupt(1, 0x1);
    }

    public string Address { get; }

    public int Group { get; }

    /// <summary>Number of its own node.</summary>
    public int Number { get; init; }

    public string Path => $"/sys/bus/pci/devices/{Address}";

    public string GroupFolder => $"/sys/kernel/iommu_groups/{Group}/devices";

    public string? Driver { get; set; }

    public bool IsBound => Driver is "vfio-pci" or "mlx5_vfio_pci";

    public string Subsystem { get; set; } = "pci";

    public bool HasIommu { get; set; } = true;

    public bool CanReset { get; set; }

    /// <summary>
    /// The physical function of SR-IOV whose virtual function this is, or null. Memory Space of such a function's command register is 0 for ever.
    /// </summary>
    public string? VirtualOf { get; set; }

    /// <summary>Vendor and device as sysfs has them.</summary>
    public (ushort Vendor, ushort Device) Ids { get; set; } = (0x8086, 0x5678);

    public uint Flags { get; set; } = 2;

    public FakeVfioRegion[] Regions { get; } = new FakeVfioRegion[9];

    public FakeVfioRegion Configuration => Regions[(int)PciRegionIndex.Configuration];

    /// <summary>By kind; null for one that the kernel refuses to tell of.</summary>
    public FakeVfioInterrupt?[] Interrupts { get; } = [new(0, 7), new(0, 9), new(0, 9), null, null];

    public int Resets { get; set; }

    public int HotResets { get; set; }

    /// <summary>
    /// Whom a reset of the bus reaches: group (by itself opened: number in the context), bus, devfn; null if there is no such reset.
    /// </summary>
    public List<(uint Group, byte Bus, byte Devfn)>? Dependents { get; set; }

    /// <summary>The pin is masked, by VFIO after a signal or by us.</summary>
    public bool PinMasked { get; set; }

    /// <summary>Descriptor that unmasks the pin, or -1.</summary>
    public int PinUnmask { get; set; } = -1;

    /// <summary>Reads and writes of regions: region, offset, width, and what was written.</summary>
    public List<(PciRegionIndex Region, ulong Offset, int Width, ulong? Written)> Accesses { get; } = [];

    /// <summary>Signals what is set for an interrupt, as the hardware would.</summary>
    /// <returns>False if nothing is set, or the pin is masked.</returns>
    public bool Signal(PciInterruptIndex index, int number = 0)
    {
        if (Interrupts[(int)index]?.Triggers is not { } triggers || number >= triggers.Length || triggers[number] < 0
            || (index == PciInterruptIndex.Pin && PinMasked))
        {
            return false;
        }

        PinMasked |= index == PciInterruptIndex.Pin;
        FakeVfioInterrupt.Write(triggers[number]);
        return true;
    }

    /// <summary>Has the device read or write memory, as far as its address space lets it.</summary>
    public bool TryMaster(ulong iova, Span<byte> bytes, bool write)
    {
        foreach (FakeVfioFile file in _kernel.Files.Values)
        {
            if (file is FakeVfioDeviceFile { Device: var device, Space: { } space } && device == this)
            {
                return (Command & 4) != 0 && space.TryRead(iova, bytes, write);
            }
        }

        return false;
    }

    /// <summary>The command register.</summary>
    public ushort Command => MemoryMarshal.Read<ushort>(Configuration.Bytes[4..]);
}
