using System;
using System.Collections.Generic;
using System.Linq;
using System.Numerics;

namespace Vmm.Kvm;

/// <summary>Makes a vCPU's CPUID from what the hypervisor supports: identity and topology of one package of single-threaded cores.</summary>
public static class VcpuCpuid
{
    private const uint ExtendedTopology = 0x0B;
    private const uint ExtendedTopology2 = 0x1F;

    /// <summary>Makes the leaves of one vCPU.</summary>
    /// <param name="supported">From <see cref="KvmSystem.GetSupportedCpuid"/>.</param>
    /// <param name="apicId">The vCPU's local APIC id, its <see cref="KvmVcpu.Id"/>.</param>
    /// <param name="vcpuCount">How many vCPUs the machine has, their ids counted from 0.</param>
    /// <param name="tscDeadline">
    /// Offer the TSC-deadline timer (<see cref="KvmCapability.TscDeadlineTimer"/>; the supported list leaves it out).
    /// </param>
    public static IReadOnlyList<CpuidEntry> Build(IReadOnlyList<CpuidEntry> supported, int apicId, int vcpuCount, bool tscDeadline)
    {
        ArgumentNullException.ThrowIfNull(supported);
        ArgumentOutOfRangeException.ThrowIfNegative(apicId);
        ArgumentOutOfRangeException.ThrowIfLessThan(vcpuCount, 1);

        uint id = (uint)apicId;
        uint count = (uint)vcpuCount;
        bool amd = IsAmd(supported);
        uint maxLeaf = supported.FirstOrDefault(entry => entry.Function == 0).Eax;
        var result = new List<CpuidEntry>();
        foreach (CpuidEntry entry in supported)
        {
            if (entry.Function is not (ExtendedTopology or ExtendedTopology2))
            {
                result.Add(Refine(entry, id, count, amd, tscDeadline));
            }
        }

        if (maxLeaf >= ExtendedTopology)
        {
            result.AddRange(TopologyLeaf(id, count));
        }

        return result;
    }

    private static CpuidEntry Refine(in CpuidEntry entry, uint id, uint count, bool amd, bool tscDeadline)
    {
        switch (entry.Function)
        {
            case 0x1:
                // EBX: initial APIC id, addressable ids per package; ECX: TSC deadline, hypervisor; EDX: several ids in the package.
                uint ids = Math.Min(BitOperations.RoundUpToPowerOf2(count), 255);
                return entry with
                {
                    Ebx = (entry.Ebx & 0xFFFF) | ((ids & 0xFF) << 16) | (id << 24),
                    Ecx = (entry.Ecx & ~(1u << 24)) | (tscDeadline ? 1u << 24 : 0) | (1u << 31),
                    Edx = (entry.Edx & ~(1u << 28)) | (count > 1 ? 1u << 28 : 0),
                };

            case 0x4 when (entry.Eax & 0x1F) != 0:
                // Bits 31:26 cores in the package less one, 25:14 ids that share the cache less one: the last level is everybody's.
                uint cores = Math.Min(BitOperations.RoundUpToPowerOf2(count) - 1, 63);
                return entry with { Eax = (entry.Eax & 0x3FFF) | (cores << 26) | (Sharing(entry.Eax, count) << 14) };

            case 0x8000_0001 when amd:
                return entry with { Ecx = (entry.Ecx & ~2u) | (count > 1 ? 2u : 0) };

            case 0x8000_0008 when amd:
                // ECX: 7:0 threads in the package less one, 15:12 bits of an id inside the package.
                return entry with { Ecx = (entry.Ecx & ~0xFFFFu) | Math.Min(count - 1, 255) | (IdBits(count) << 12) };

            case 0x8000_001D when amd && (entry.Eax & 0x1F) != 0:
                return entry with { Eax = (entry.Eax & ~0x03FF_C000u) | (Sharing(entry.Eax, count) << 14) };

            case 0x8000_001E when amd:
                // EAX: extended APIC id; EBX: core id, one thread a core; ECX: node 0 of one.
                return entry with { Eax = id, Ebx = id & 0xFF, Ecx = 0 };

            default:
                return entry;
        }
    }

    private static uint Sharing(uint eax, uint count)
    {
        uint level = (eax >> 5) & 7;
        return level >= 3 ? Math.Min(BitOperations.RoundUpToPowerOf2(count) - 1, 0xFFF) : 0;
    }

    private static uint IdBits(uint count) => (uint)BitOperations.Log2(BitOperations.RoundUpToPowerOf2(count));

    /// <summary>Leaf 0x0B: one thread a core, then all cores of the package (Intel SDM volume 2, CPUID).</summary>
    private static CpuidEntry[] TopologyLeaf(uint id, uint count)
    {
        return
        [
            new CpuidEntry(ExtendedTopology, 0, true, 0, 1, 0x100, id),
            new CpuidEntry(ExtendedTopology, 1, true, IdBits(count), count, 0x201, id),
            new CpuidEntry(ExtendedTopology, 2, true, 0, 0, 2, id),
        ];
    }

    private static bool IsAmd(IReadOnlyList<CpuidEntry> supported)
    {
        CpuidEntry vendor = supported.FirstOrDefault(entry => entry.Function == 0);

        // "AuthenticAMD" or "HygonGenuine" in EBX, EDX, ECX.
        return (vendor.Ebx, vendor.Edx, vendor.Ecx) is (0x68747541, 0x69746E65, 0x444D4163) or (0x6F677948, 0x6E65476E, 0x656E6975);
    }
}
