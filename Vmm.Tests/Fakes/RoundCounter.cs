using System.Threading;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.Fakes;

/// <summary>An IOMMU that maps everything to itself and counts how often a queue is entered: each time its rings are translated anew.</summary>
public sealed class RoundCounter(ulong ring) : IDmaTranslator
{
    private int _rounds;

    /// <summary>Stays in the queue's ring so far.</summary>
    public int Rounds => Volatile.Read(ref _rounds);

    public bool TryTranslate(ulong iova, ulong length, bool write, out ulong address, out ulong contiguous)
    {
        if (iova == ring)
        {
            Interlocked.Increment(ref _rounds);
        }

        address = iova;
        contiguous = length;
        return true;
    }
}
