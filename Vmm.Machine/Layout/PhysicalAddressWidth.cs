using System;

namespace Vmm.Machine.Layout;

/// <summary>The width of the guest-physical addresses that a guest can reach, from CPUID leaf 0x80000008.</summary>
internal static class PhysicalAddressWidth
{
    /// <summary>The leaf.</summary>
    public const uint Leaf = 0x8000_0008;

    /// <summary>Bits where there is no such leaf.</summary>
    private const int WithoutTheLeaf = 36;

    /// <summary>Bits that nested page tables of four levels translate: no KVM that keeps silent about its limit is trusted with more.</summary>
    private const int FourLevels = 48;

    /// <summary>Reads the width.</summary>
    /// <param name="eax">
    /// EAX of the leaf, or 0 without it. Bits 7:0 are the processor's width; in bits 23:16 newer kernels say what their page tables reach, which can
    /// be less.
    /// </param>
    /// <returns>Bits, 36 to 52.</returns>
    public static int FromLeaf(uint eax)
    {
        int processor = (int)(eax & 0xFF);
        int reachable = (int)((eax >> 16) & 0xFF);
        return processor == 0 ? WithoutTheLeaf : Math.Clamp(Math.Min(processor, reachable == 0 ? FourLevels : reachable), WithoutTheLeaf, 52);
    }
}
