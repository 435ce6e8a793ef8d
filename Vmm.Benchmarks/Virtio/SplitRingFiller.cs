using System.Threading;

namespace Vmm.Benchmarks.Virtio;

/// <summary>Fills a split ring. Descriptors are written once.</summary>
internal sealed unsafe class SplitRingFiller : RingFiller
{
    private readonly ushort[] _heads;
    private ushort _index;

    public SplitRingFiller(RingShape shape, byte* ram)
        : base(shape, ram)
    {
        _heads = new ushort[shape.Chains];
        for (int chain = 0; chain < shape.Chains; chain++)
        {
            int head = shape.IsIndirect ? chain : chain * shape.DescriptorsPerChain;
            _heads[chain] = (ushort)head;
            if (shape.IsIndirect)
            {
                Set(head, Table(chain), (uint)(16 * shape.DescriptorsPerChain), IndirectFlag, 0);
                continue;
            }

            for (int i = 0; i < shape.DescriptorsPerChain; i++)
            {
                (ulong address, uint length, ushort flags) = Buffer(chain, i);
                bool last = i == shape.DescriptorsPerChain - 1;
                Set(head + i, address, length, (ushort)(flags | (last ? 0 : NextFlag)), (ushort)(last ? 0 : head + i + 1));
            }
        }
    }

    public override bool IsDrained => *(ushort*)(Ram + Device + 2) == _index;

    public override void Fill()
    {
        for (int chain = 0; chain < _heads.Length; chain++)
        {
            *(ushort*)(Ram + Driver + 4 + (2 * ((_index + chain) % RingShape.Size))) = _heads[chain];
        }

        _index += (ushort)_heads.Length;
        *(ushort*)(Ram + Driver + 4 + (2 * RingShape.Size)) = (ushort)(_index - 1);
        Volatile.Write(ref *(ushort*)(Ram + Driver + 2), _index);
    }

    private void Set(int index, ulong address, uint length, ushort flags, ushort next)
    {
        byte* place = Ram + Descriptors + (16 * index);
        *(ulong*)place = address;
        *(uint*)(place + 8) = length;
        *(ushort*)(place + 12) = flags;
        *(ushort*)(place + 14) = next;
    }
}
