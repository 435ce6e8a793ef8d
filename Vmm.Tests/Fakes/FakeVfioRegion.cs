using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;

namespace Vmm.Tests.Fakes;

/// <summary>A region of a <see cref="FakeVfioDevice"/>.</summary>
internal sealed class FakeVfioRegion
{
    private HostMemory? _memory;

    public ulong Size { get; set; }

    /// <summary>READ, WRITE and MMAP as in linux/vfio.h; whether there are capabilities follows from the rest.</summary>
    public uint Flags { get; set; } = 3;

    /// <summary>Areas of a sparse-mmap capability, or null for none.</summary>
    public List<RegionArea>? Areas { get; set; }

    public bool MsixMappable { get; set; }

    /// <summary>Accesses fail.</summary>
    public bool IsDead { get; set; }

    /// <summary>What accesses and mappings reach.</summary>
    public unsafe Span<byte> Bytes => new(Memory.Pointer, (int)Math.Min(Size, int.MaxValue));

    public HostMemory Memory => _memory ??= HostMemory.AllocateShared("fake-region", Math.Max(Size, 1));
}
