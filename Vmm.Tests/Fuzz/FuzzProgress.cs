using System;
using System.Threading;

namespace Vmm.Tests.Fuzz;

/// <summary>Which operation a thread is at, for whoever watches that none takes for ever.</summary>
internal sealed class FuzzProgress
{
    private long _since;
    private int _index = -1;

    /// <summary>Index in the list of the operation under way, or -1.</summary>
    public int Index => Volatile.Read(ref _index);

    /// <summary>How long it has been under way.</summary>
    public TimeSpan Elapsed => Index < 0 ? TimeSpan.Zero : TimeSpan.FromMilliseconds(Environment.TickCount64 - Volatile.Read(ref _since));

    public void Begin(int index)
    {
        Volatile.Write(ref _since, Environment.TickCount64);
        Volatile.Write(ref _index, index);
    }

    public void End() => Volatile.Write(ref _index, -1);
}
