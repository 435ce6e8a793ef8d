using System;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Pci.Capabilities;

/// <summary>An eventfd whose signals are those of one vector after another, or of none: what a guest maps and maps again.</summary>
/// <remarks>
/// <para>
/// While the vector is effective and the hypervisor has a route, the hypervisor delivers and nothing of ours runs. At any other time a relay watches
/// the eventfd on a worker: a signal of a masked vector becomes its pending bit (MSIX-5), that of an effective one without a route is sent, and
/// where there is no vector, or its mechanism is disabled, the device is told. A signal is taken out of the eventfd in one step with what it
/// becomes, so that no change of mask, vector or mechanism loses one or tells it twice; several that nobody has taken yet are one event.
/// </para>
/// <para>Thread-safe. Lock order: the source's lock, the creation lock of <see cref="MessageCapability"/>, the vector's gate, the worker's lock.</para>
/// </remarks>
public sealed class MessageSource : IDisposable
{
    private readonly Lock _lock = new();
    private readonly IWatch? _watch;
    private readonly Action? _untold;
    private MessageVector? _vector;
    private bool _disposed;

    /// <summary>Makes an eventfd that is mapped to no vector.</summary>
    /// <param name="relay">Watches the eventfd while no route delivers it; runs as long as the source exists.</param>
    /// <param name="untold">
    /// Runs after a signal while there is no vector, or its mechanism is disabled. On the relay, or on the thread that disposes; must not throw, wait,
    /// or use the source.
    /// </param>
    /// <exception cref="HostException">The process is out of descriptors.</exception>
    public MessageSource(Worker relay, Action untold)
    {
        ArgumentNullException.ThrowIfNull(relay);
        ArgumentNullException.ThrowIfNull(untold);
        _untold = untold;
        EventFd = new EventFd();
        try
        {
            _watch = relay.WatchReadable(EventFd.Descriptor, Relay);
        }
        catch
        {
            EventFd.Dispose();
            throw;
        }
    }

    /// <summary>The eventfd of a vector itself, with its route and without a relay: what is signalled while masked stays in it until it is looked at.</summary>
    internal MessageSource(EventFd eventFd, IIrqRoute route)
    {
        EventFd = eventFd;
        Route = route;
    }

    /// <summary>The eventfd that is signalled; the same as long as the source exists.</summary>
    public EventFd EventFd { get; }

    /// <summary>Something else than the vector takes what is signalled while the mechanism is disabled.</summary>
    internal bool HasRelay => _watch is not null;

    /// <summary>How the hypervisor delivers it, or null. Changed under the creation lock and the gate of the vector.</summary>
    internal IIrqRoute? Route { get; set; }

    /// <summary>The hypervisor delivers now. Belongs to the gate of the vector.</summary>
    internal bool IsArmed { get; private set; }

    /// <summary>Takes the source from its vector to another one of the same function.</summary>
    /// <param name="vector">The vector, or null for none.</param>
    public void MoveTo(MessageVector? vector)
    {
        lock (_lock)
        {
            if (_disposed || vector == _vector)
            {
                return;
            }

            // Between the two it is nobody's: what is signalled stays in the eventfd for the vector to come.
            _vector?.Sources!.Detach(this);
            _vector = vector;
            vector?.Owner.Attach(vector, this);
        }
    }

    /// <summary>Takes the eventfd out of use; what was signalled before is told as it would have been. Closes the eventfd.</summary>
    public void Dispose()
    {
        // Not under the lock: it waits for the relay, which takes it.
        _watch?.Dispose();
        lock (_lock)
        {
            if (_disposed)
            {
                return;
            }

            _disposed = true;
            Take();
            _vector?.Sources!.Detach(this);
            _vector = null;
            EventFd.Dispose();
        }
    }

    /// <summary>The route was armed or disarmed: the relay has nothing to do, or something. The gate of the vector is held.</summary>
    /// <exception cref="HostException">The kernel does not watch the eventfd; it is looked at with the vector from now on.</exception>
    internal void SetArmed(bool armed)
    {
        IsArmed = armed;
        if (_watch is not null)
        {
            _watch.Enabled = !armed;
        }
    }

    private void Relay()
    {
        lock (_lock)
        {
            if (!_disposed)
            {
                Take();
            }
        }
    }

    private void Take()
    {
        if (_vector is { } vector ? !vector.TryRelay(this) : EventFd.TryConsume(out _))
        {
            _untold?.Invoke();
        }
    }
}
