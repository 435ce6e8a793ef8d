using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Pci.Capabilities;

/// <summary>What MSI and MSI-X have in common: vectors, and where their messages go.</summary>
/// <remarks>
/// Threading is described on <see cref="MessageVector"/>; the creation lock here only orders the making of eventfds against attach and detach.
/// </remarks>
public abstract class MessageCapability : PciCapability, IDisposable
{
    private readonly Lock _creation = new();
    private IIrqRouting? _routing;
    private long _refusedRoutes;

    private protected MessageCapability(byte id, int length)
        : base(id, length)
    {
    }

    /// <summary>The enable bit: the function signals by message and not by INTx.</summary>
    public abstract bool IsEnabled { get; }

    /// <summary>How many times the hypervisor refused to arm an eventfd's route.</summary>
    public long RefusedRoutes => Volatile.Read(ref _refusedRoutes);

    /// <summary>Where messages go.</summary>
    internal IMsiSink Sink { get; private set; } = NoMsiSink.Instance;

    internal uint RequesterId { get; private set; }

    private protected abstract ReadOnlySpan<MessageVector> Vectors { get; }

    /// <summary>Forgets the events that were not delivered: the device was reset and has none any more.</summary>
    public void ClearPending()
    {
        foreach (MessageVector vector in Vectors)
        {
            vector.ClearPending();
        }
    }

    /// <summary>
    /// Makes the eventfds of several vectors, which <see cref="MessageVector.GetEventFd"/> gives then. Those that are effective are armed by
    /// one change of the hypervisor's table (KVM-5).
    /// </summary>
    /// <param name="indices">Indices of vectors, in any order.</param>
    /// <exception cref="HostException">The process is out of descriptors; those that were made stay.</exception>
    /// <exception cref="InvalidOperationException">The function's bus has no interrupt routing: nobody could deliver the signals.</exception>
    public void CreateEventFds(IEnumerable<int> indices)
    {
        ArgumentNullException.ThrowIfNull(indices);
        int[] sorted = [.. indices];
        Array.Sort(sorted);
        lock (_creation)
        {
            var batch = new RouteBatch(_routing);
            try
            {
                foreach (int index in sorted)
                {
                    Create(Vectors[index], batch);
                }
            }
            finally
            {
                batch.Complete();
            }
        }
    }

    /// <summary>
    /// Takes the enable bit back: the device could not do what the guest asked for. Everything follows as if the guest had cleared it.
    /// </summary>
    /// <exception cref="InvalidOperationException">Not added to a function yet.</exception>
    public void Disable()
    {
        if (List is not { } list)
        {
            throw new InvalidOperationException("the capability has not been added to a function");
        }

        ClearEnable();
        FunctionChanged();
        list.Owner.InterruptModeChanged();
    }

    /// <summary>Disposes the vectors' eventfds and routes.</summary>
    public void Dispose()
    {
        Release();
        GC.SuppressFinalize(this);
    }

    /// <inheritdoc/>
    protected internal override void OnReset()
    {
        foreach (MessageVector vector in Vectors)
        {
            vector.Reset();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnAttached()
    {
        ICapabilityOwner owner = List!.Owner;
        Sink = owner.MsiSink ?? NoMsiSink.Instance;
        RequesterId = owner.RequesterId;
        lock (_creation)
        {
            _routing = owner.IrqRouting;
            foreach (MessageVector vector in Vectors)
            {
                vector.Sources?.CreateRoutes(_routing);
            }
        }

        FunctionChanged();
    }

    /// <inheritdoc/>
    protected internal override void OnDetached()
    {
        Release();
        Sink = NoMsiSink.Instance;
    }

    /// <summary>The function has another address now: its messages carry that requester id.</summary>
    internal void AddressChanged() => RequesterId = List!.Owner.RequesterId;

    private protected abstract void ClearEnable();

    /// <summary>True while nothing but the vector's own mask bit keeps a vector from sending.</summary>
    internal abstract bool IsEffective(int index);

    /// <summary>True while an event that cannot be sent now is kept.</summary>
    internal abstract bool KeepsEvents(int index);

    /// <summary>What every vector depends on changed (enable, function mask, bus mastering, the message): each one is looked at.</summary>
    internal void FunctionChanged()
    {
        // Each vector reads the registers for itself, so of two changes that race, the later one's pass has the last word.
        RouteBatch? batch = null;
        try
        {
            foreach (MessageVector vector in Vectors)
            {
                if (vector.Sources is null)
                {
                    vector.RefreshFromFunction();
                }
                else
                {
                    (batch ??= new RouteBatch(_routing)).Refresh(vector);
                }
            }
        }
        finally
        {
            batch?.Complete();
        }
    }

    internal EventFd GetOrCreateEventFd(MessageVector vector)
    {
        if (vector.EventFdOrNull is { } existing)
        {
            return existing;
        }

        CreateEventFds([vector.Index]);
        return vector.EventFdOrNull ?? throw new InvalidOperationException("the function left its bus");
    }

    /// <summary>Maps a source to a vector: what it has collected is an event of the vector.</summary>
    internal void Attach(MessageVector vector, MessageSource source)
    {
        lock (_creation)
        {
            vector.GetOrCreateSources().Attach(source, _routing);
        }
    }

    internal void RouteRefused(MessageVector vector, HostException reason)
    {
        Interlocked.Increment(ref _refusedRoutes);
        List?.Owner.RouteRefused(vector.Index, reason);
    }

    private void Create(MessageVector vector, RouteBatch batch)
    {
        if (vector.EventFdOrNull is not null)
        {
            return;
        }

        IIrqRouting routing = _routing
            ?? throw new InvalidOperationException("the function is on no bus with interrupt routing, so nobody could deliver an eventfd's signals");
        var eventFd = new EventFd();
        try
        {
            batch.Adopt(vector, new MessageSource(eventFd, routing.CreateRoute(eventFd)));
        }
        catch
        {
            eventFd.Dispose();
            throw;
        }
    }

    private void Release()
    {
        lock (_creation)
        {
            _routing = null;
            foreach (MessageVector vector in Vectors)
            {
                vector.Sources?.Abandon();
            }
        }
    }

    private sealed class NoMsiSink : IMsiSink
    {
        public static readonly NoMsiSink Instance = new();

        public bool Send(in MsiMessage message, uint requesterId) => false;
    }
}
