using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Virtio;

/// <summary>The driver's side of a measured ring: makes it full.</summary>
internal abstract unsafe class RingFiller
{
    /// <summary>Where the data of the first chain lies; that of the next one 4 KiB further.</summary>
    public const ulong Data = 0x20_0000;

    protected const ulong Descriptors = 0x1_0000;
    protected const ulong Driver = 0x1_2000;
    protected const ulong Device = 0x1_3000;
    protected const ushort NextFlag = 1;
    protected const ushort WriteFlag = 2;
    protected const ushort IndirectFlag = 4;

    private const ulong Tables = 0x2_0000;
    private const ulong Headers = 0x10_0000;
    private const ulong Statuses = 0x11_0000;

    protected RingFiller(RingShape shape, byte* ram)
    {
        Shape = shape;
        Ram = ram;
        for (int chain = 0; shape.IsIndirect && chain < shape.Chains; chain++)
        {
            for (int i = 0; i < shape.DescriptorsPerChain; i++)
            {
                (ulong address, uint length, ushort flags) = Buffer(chain, i);
                bool linked = !shape.IsPacked && i < shape.DescriptorsPerChain - 1;
                byte* entry = ram + Table(chain) + (16 * i);
                *(ulong*)entry = address;
                *(uint*)(entry + 8) = length;
                *(ushort*)(entry + 12) = shape.IsPacked ? (ushort)0 : (ushort)(flags | (linked ? NextFlag : 0));
                *(ushort*)(entry + 14) = shape.IsPacked ? flags : (ushort)(linked ? i + 1 : 0);
            }
        }
    }

    public VirtqueueConfiguration Configuration => new()
    {
        Index = 0,
        Size = RingShape.Size,
        Descriptors = Descriptors,
        Driver = Driver,
        Device = Device,
        Features = (Shape.IsIndirect ? RingFeatures.IndirectDescriptors : 0) | (Shape.HasEventIndex ? RingFeatures.EventIndex : 0)
            | (Shape.IsPacked ? RingFeatures.Packed : 0),
    };

    /// <summary>True if the device has used all that was made available.</summary>
    public abstract bool IsDrained { get; }

    protected RingShape Shape { get; }

    protected byte* Ram { get; }

    /// <summary>Makes all chains available; with event indices it asks for an interrupt after the last one.</summary>
    public abstract void Fill();

    protected static ulong Table(int chain) => Tables + (64UL * (ulong)chain);

    /// <summary>A buffer of a chain, with WRITE as its only flag.</summary>
    protected (ulong Address, uint Length, ushort Flags) Buffer(int chain, int index)
    {
        ulong data = Data + (4096UL * (ulong)chain);
        return (Shape.DescriptorsPerChain, index) switch
        {
            (1, _) => (data, (uint)Shape.DataLength, 0),
            (_, 0) => (Headers + (16UL * (ulong)chain), 16, 0),
            (_, 1) => (data, (uint)Shape.DataLength, WriteFlag),
            _ => (Statuses + (16UL * (ulong)chain), 1, WriteFlag),
        };
    }
}
