using System.Collections.Generic;

namespace Vmm.Kvm;

/// <summary>Gives out the numbers from 0 to a limit, freed ones first. Not thread-safe.</summary>
internal sealed class NumberAllocator(int limit)
{
    private readonly Stack<int> _free = new();
    private int _next;

    public int Limit => limit;

    public int InUse => _next - _free.Count;

    public bool TryAllocate(out int number)
    {
        if (_free.TryPop(out number))
        {
            return true;
        }

        if (_next >= limit)
        {
            number = -1;
            return false;
        }

        number = _next++;
        return true;
    }

    public void Free(int number) => _free.Push(number);
}
