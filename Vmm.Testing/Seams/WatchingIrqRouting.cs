using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Testing.Seams;

/// <summary>
/// The kernel's side of irqfds with real eventfds: while a route is armed, what its eventfd holds or gets becomes a message, taken out of the
/// counter; disarmed, the counter keeps it. Thread-safe; one thread delivers.
/// </summary>
public sealed class WatchingIrqRouting : IIrqRouting, IDisposable
{
    private readonly IMsiSink _sink;
    private readonly Worker _kernel = new("irqfds");
    private int _delivered;

    /// <summary>Makes the routing and starts its thread.</summary>
    /// <param name="sink">Where the messages go, with a requester of 0.</param>
    public WatchingIrqRouting(IMsiSink sink)
    {
        _sink = sink;
        _kernel.Start();
    }

    /// <summary>Messages that came by an armed route.</summary>
    public int Delivered => Volatile.Read(ref _delivered);

    /// <inheritdoc/>
    public IIrqRoute CreateRoute(EventFd source) => new Route(this, source);

    /// <inheritdoc/>
    public void ArmAll(IReadOnlyList<RouteArming> armings)
    {
        foreach (RouteArming arming in armings)
        {
            arming.Route.Arm(arming.Message);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _kernel.Dispose();

    private sealed class Route(WatchingIrqRouting routing, EventFd source) : IIrqRoute
    {
        private IDisposable? _watch;

        public void Arm(in MsiMessage message)
        {
            Disarm();
            MsiMessage armed = message;
            _watch = routing._kernel.WatchReadable(source.Descriptor, () => Deliver(armed));
        }

        public void Disarm()
        {
            _watch?.Dispose();
            _watch = null;
        }

        public void Dispose() => Disarm();

        private void Deliver(MsiMessage message)
        {
            if (source.TryConsume(out _))
            {
                Interlocked.Increment(ref routing._delivered);
                routing._sink.Send(message, 0);
            }
        }
    }
}
