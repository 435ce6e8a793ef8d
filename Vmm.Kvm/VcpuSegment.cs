namespace Vmm.Kvm;

/// <summary>A segment register with its hidden part (<c>struct kvm_segment</c>; Intel SDM volume 3, 3.4.5).</summary>
public record struct VcpuSegment
{
    /// <summary>Linear base address.</summary>
    public ulong Base { get; set; }

    /// <summary>Limit in bytes, granularity already applied.</summary>
    public uint Limit { get; set; }

    /// <summary>Selector.</summary>
    public ushort Selector { get; set; }

    /// <summary>Type, 4 bits, for example 0xB for executed code and 0x3 for written data.</summary>
    public byte Type { get; set; }

    /// <summary>P.</summary>
    public bool Present { get; set; }

    /// <summary>Descriptor privilege level, 0 to 3.</summary>
    public byte PrivilegeLevel { get; set; }

    /// <summary>D/B: 32-bit operands and addresses by default.</summary>
    public bool DefaultBig { get; set; }

    /// <summary>S: a code or data segment, not a system one.</summary>
    public bool CodeOrData { get; set; }

    /// <summary>L: 64-bit code.</summary>
    public bool Long { get; set; }

    /// <summary>G: the limit is counted in pages.</summary>
    public bool Granularity { get; set; }

    /// <summary>AVL.</summary>
    public bool Available { get; set; }

    /// <summary>The register holds no usable segment.</summary>
    public bool Unusable { get; set; }

    /// <summary>A flat code segment of 64-bit mode.</summary>
    /// <param name="selector">Its selector in the GDT.</param>
    public static VcpuSegment Code64(ushort selector) => Flat(selector, 0xB) with { Long = true, DefaultBig = false };

    /// <summary>A flat 32-bit code segment.</summary>
    /// <param name="selector">Its selector in the GDT.</param>
    public static VcpuSegment Code32(ushort selector) => Flat(selector, 0xB);

    /// <summary>A flat data segment.</summary>
    /// <param name="selector">Its selector in the GDT.</param>
    public static VcpuSegment Data(ushort selector) => Flat(selector, 0x3);

    /// <summary>A real-mode segment of 64 KiB.</summary>
    /// <param name="selector">Base address divided by 16.</param>
    /// <param name="code">For CS; else a data segment.</param>
    public static VcpuSegment RealMode(ushort selector, bool code = false)
    {
        return new VcpuSegment
        {
            Base = (ulong)selector << 4,
            Limit = 0xFFFF,
            Selector = selector,
            Type = (byte)(code ? 0xB : 0x3),
            Present = true,
            CodeOrData = true,
        };
    }

    /// <summary>A busy task-state segment, as TR must hold.</summary>
    /// <param name="selector">Its selector in the GDT.</param>
    /// <param name="baseAddress">Where it lies.</param>
    public static VcpuSegment TaskState(ushort selector, ulong baseAddress = 0)
    {
        return new VcpuSegment { Base = baseAddress, Limit = 0x67, Selector = selector, Type = 0xB, Present = true };
    }

    private static VcpuSegment Flat(ushort selector, byte type)
    {
        return new VcpuSegment
        {
            Limit = 0xFFFF_FFFF,
            Selector = selector,
            Type = type,
            Present = true,
            DefaultBig = true,
            CodeOrData = true,
            Granularity = true,
        };
    }
}
