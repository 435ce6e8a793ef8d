using System.Threading;

namespace Vmm.Benchmarks.Virtio;

/// <summary>Fills a packed ring. Descriptors are written anew each time, since the device overwrites them.</summary>
internal sealed unsafe class PackedRingFiller : RingFiller
{
    private const ushort AvailableFlag = 1 << 7;
    private const ushort UsedFlag = 1 << 15;
    private const uint EventDescriptor = 2;

    private int _place;
    private bool _wrap = true;
    private int _last;
    private bool _lastWrap;

    public PackedRingFiller(RingShape shape, byte* ram)
        : base(shape, ram)
    {
    }

    public override bool IsDrained
    {
        get
        {
            ushort flags = *(ushort*)(Ram + Descriptors + (16 * _last) + 14);
            return (flags & AvailableFlag) != 0 == _lastWrap && (flags & UsedFlag) != 0 == _lastWrap;
        }
    }

    public override void Fill()
    {
        for (int chain = 0; chain < Shape.Chains; chain++)
        {
            (_last, _lastWrap) = (_place, _wrap);
            if (Shape.IsIndirect)
            {
                Add(Table(chain), (uint)(16 * Shape.DescriptorsPerChain), (ushort)chain, IndirectFlag);
                continue;
            }

            for (int i = 0; i < Shape.DescriptorsPerChain; i++)
            {
                (ulong address, uint length, ushort flags) = Buffer(chain, i);
                Add(address, length, (ushort)chain, (ushort)(flags | (i == Shape.DescriptorsPerChain - 1 ? 0 : NextFlag)));
            }
        }

        uint mark = (uint)_last | (_lastWrap ? 1u << 15 : 0);
        Volatile.Write(ref *(uint*)(Ram + Driver), Shape.HasEventIndex ? mark | (EventDescriptor << 16) : 0);
    }

    private void Add(ulong address, uint length, ushort id, ushort flags)
    {
        byte* place = Ram + Descriptors + (16 * _place);
        *(ulong*)place = address;
        *(uint*)(place + 8) = length;
        *(ushort*)(place + 12) = id;

        // The device does not look before all is filled: which flags are written last does not matter here.
        Volatile.Write(ref *(ushort*)(place + 14), (ushort)(flags | (_wrap ? AvailableFlag : UsedFlag)));
        if (++_place == RingShape.Size)
        {
            _place = 0;
            _wrap = !_wrap;
        }
    }
}
