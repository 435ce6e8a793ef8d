using System;
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
        foreach (var vector in Vectors)
        {
            vector.ClearPending();
        }
    }

    /// <summary>Takes the enable bit back: the device could not do what the guest asked for. Everything follows as if the guest had cleared it.</summary>
    /// <exception cref="InvalidOperationException">Not added to a function yet.</exception>
    public void Disable()
    {
        if (Function is null)
        {
            throw new InvalidOperationException("the capability has not been added to a function");
        }

        ClearEnable();
        FunctionChanged();
        Function.InterruptModeChanged();
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
        foreach (var vector in Vectors)
        {
            vector.Reset();
        }
    }

    /// <inheritdoc/>
    protected internal override void OnAttached()
    {
        Sink = Function!.Bus!.MsiSink ?? NoMsiSink.Instance;
        RequesterId = Function.Address.RequesterId;
        FunctionChanged();
    }

    /// <inheritdoc/>
    protected internal override void OnDetached()
    {
        Release();
        Sink = NoMsiSink.Instance;
    }

    /// <summary>The function has another address now: its messages carry that requester id.</summary>
    internal void AddressChanged() => RequesterId = Function!.Address.RequesterId;

    private protected abstract void ClearEnable();

    /// <summary>True while nothing but the vector's own mask bit keeps a vector from sending.</summary>
    internal abstract bool IsEffective(int index);

    /// <summary>What every vector depends on changed (enable, function mask, bus mastering, the message): each one is looked at.</summary>
    internal void FunctionChanged()
    {
        // Each vector reads the registers for itself, so of two changes that race, the later one's pass has the last word.
        var vectors = Vectors;
        for (int i = 0; i < vectors.Length; i++)
        {
            vectors[i].RefreshFromFunction();
        }
    }

    internal EventFd GetOrCreateEventFd(MessageVector vector)
    {
        lock (_creation)
        {
            if (vector.EventFdOrNull is { } existing)
            {
                return existing;
            }

            var routing = Function?.Bus?.IrqRouting
                ?? throw new InvalidOperationException("the function is on no bus with interrupt routing, so nobody could deliver an eventfd's signals");
            var eventFd = new EventFd();
            try
            {
                vector.Adopt(eventFd, routing.CreateRoute(eventFd));
            }
            catch
            {
                eventFd.Dispose();
                throw;
            }

            return eventFd;
        }
    }

    internal void RouteRefused(MessageVector vector, HostException reason)
    {
        Interlocked.Increment(ref _refusedRoutes);
        Function?.ReportRouteRefused(vector.Index, reason);
    }

    private void Release()
    {
        lock (_creation)
        {
            foreach (var vector in Vectors)
            {
                var (eventFd, route) = vector.Abandon();
                route?.Dispose();
                eventFd?.Dispose();
            }
        }
    }

    private sealed class NoMsiSink : IMsiSink
    {
        public static readonly NoMsiSink Instance = new();

        public bool Send(in MsiMessage message, uint requesterId) => false;
    }
}
