using System.Collections.Generic;
using System.Linq;
using System.Threading;

namespace Vmm.Conformance.Driving;

/// <summary>Counts the interrupts that arrive.</summary>
/// <remarks>They arrive on any thread; the lock covers the counts.</remarks>
internal sealed class MessageLog
{
    private readonly Lock _lock = new();
    private readonly Dictionary<int, int> _counts = [];

    /// <summary>All of them.</summary>
    public int Total
    {
        get
        {
            lock (_lock)
            {
                return _counts.Values.Sum();
            }
        }
    }

    /// <summary>Those of one vector.</summary>
    public int this[int vector]
    {
        get
        {
            lock (_lock)
            {
                return _counts.GetValueOrDefault(vector);
            }
        }
    }

    /// <summary>One arrives.</summary>
    public void Add(int vector)
    {
        lock (_lock)
        {
            _counts[vector] = _counts.GetValueOrDefault(vector) + 1;
        }
    }

    /// <summary>Forgets what has arrived.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _counts.Clear();
        }
    }

    /// <summary>What has arrived, for reports.</summary>
    public override string ToString()
    {
        lock (_lock)
        {
            return _counts.Count == 0 ? "no interrupt" : string.Join(", ", _counts.OrderBy(c => c.Key).Select(c => $"{c.Value} of vector {c.Key}"));
        }
    }
}
