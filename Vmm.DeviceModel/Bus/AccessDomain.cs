using System;

namespace Vmm.DeviceModel.Bus;

/// <summary>Knows which threads are inside an access, so that a change can wait until nobody uses what it took away.</summary>
/// <remarks>
/// Readers (a dispatch, a queue worker that holds guest pointers) cost two plain stores to a slot of their own thread; the writer pays with a
/// process-wide memory barrier and waits for the readers it saw. No reader ever waits.
/// </remarks>
public sealed class AccessDomain
{
    /// <summary>Marks the calling thread as inside until the returned scope is disposed; nests.</summary>
    public ReadScope Enter() => throw new NotImplementedException();

    /// <summary>True if the calling thread is inside an access or a scope of this domain.</summary>
    public bool IsInside => throw new NotImplementedException();

    /// <summary>Waits until every thread that is inside now has left once. Must not be called from inside.</summary>
    public void Synchronize() => throw new NotImplementedException();

    /// <summary>
    /// Runs an effect at once, or, if the calling thread is inside an access, right after its outermost access has ended and before the vCPU
    /// goes on. This is how a configuration write moves a BAR without waiting for itself.
    /// </summary>
    /// <param name="effect">Must handle its own failures: an exception out of it is logged and counted, never thrown.</param>
    public void RunAfterAccess(Action effect) => throw new NotImplementedException();

    /// <summary>The calling thread's stay inside a domain.</summary>
    public ref struct ReadScope
    {
        /// <summary>Leaves.</summary>
        public void Dispose() => throw new NotImplementedException();
    }
}
