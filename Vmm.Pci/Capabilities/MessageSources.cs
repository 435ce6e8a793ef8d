using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interrupts;

namespace Vmm.Pci.Capabilities;

/// <summary>The eventfds that signal one vector: that of the vector itself, and those of a device's events that are mapped to it.</summary>
/// <remarks>Belongs to the gate of the vector, but for the methods that say that they take it.</remarks>
internal sealed class MessageSources(MessageCapability owner, MessageVector vector)
{
    private MessageSource[] _sources = [];

    public ReadOnlySpan<MessageSource> All => _sources;

    /// <summary>Adds one whose route is not armed.</summary>
    public void Add(MessageSource source) => _sources = [.. _sources, source];

    /// <summary>Adds one and has its route delivered to the vector. Called under the owner's creation lock; takes the gate.</summary>
    public void Attach(MessageSource source, IIrqRouting? routing)
    {
        source.Route = routing?.CreateRoute(source.EventFd);
        vector.Acquire();
        try
        {
            Add(source);
            if (vector.IsEffective)
            {
                Arm(source, vector.Message);
            }
        }
        finally
        {
            vector.Release();
        }
    }

    /// <summary>Ends what <see cref="Attach"/> began; what is signalled from now on stays in the eventfd. Takes the gate.</summary>
    public void Detach(MessageSource source)
    {
        vector.Acquire();
        try
        {
            ReleaseRoute(source);
            _sources = Array.FindAll(_sources, other => other != source);
        }
        finally
        {
            vector.Release();
        }
    }

    /// <summary>The function is on a bus: those that stayed get their routes. Called under the owner's creation lock; takes the gate.</summary>
    public void CreateRoutes(IIrqRouting? routing)
    {
        vector.Acquire();
        try
        {
            foreach (MessageSource source in _sources)
            {
                source.Route ??= routing?.CreateRoute(source.EventFd);
                if (vector.IsEffective)
                {
                    Arm(source, vector.Message);
                }
            }
        }
        finally
        {
            vector.Release();
        }
    }

    /// <summary>
    /// The function leaves its bus: no route is left, nor the vector's own eventfd. Called under the owner's creation lock; takes the gate.
    /// </summary>
    public void Abandon()
    {
        MessageSource? own;
        vector.Acquire();
        try
        {
            foreach (MessageSource source in _sources)
            {
                ReleaseRoute(source);
            }

            own = vector.AbandonOwn();
            _sources = Array.FindAll(_sources, source => source != own);
        }
        finally
        {
            vector.Release();
        }

        own?.EventFd.Dispose();
    }

    /// <summary>Takes what they collected while the hypervisor did not deliver it.</summary>
    /// <param name="relayedToo">
    /// Also what a relay would take: not while the mechanism is disabled, when that has another way to tell it.
    /// </param>
    /// <returns>True if there was something.</returns>
    public bool Collect(bool relayedToo)
    {
        bool any = false;
        foreach (MessageSource source in _sources)
        {
            any |= !source.IsArmed && (relayedToo || !source.HasRelay) && source.EventFd.TryConsume(out _);
        }

        return any;
    }

    /// <summary>Arms the routes, as many as the hypervisor has room for.</summary>
    public void Arm(in MsiMessage message)
    {
        foreach (MessageSource source in _sources)
        {
            Arm(source, message);
        }
    }

    /// <summary>Arms one route, if there is one.</summary>
    public void Arm(MessageSource source, in MsiMessage message)
    {
        if (source.Route is not { } route)
        {
            return;
        }

        try
        {
            route.Arm(message);
            SetArmed(source, true);
        }
        catch (HostException e)
        {
            SetArmed(source, false);
            owner.RouteRefused(vector, e);
        }
    }

    /// <summary>Disarms the routes.</summary>
    public void Disarm()
    {
        foreach (MessageSource source in _sources)
        {
            Disarm(source);
        }
    }

    /// <summary>Follows a change of a route.</summary>
    public void SetArmed(MessageSource source, bool armed)
    {
        try
        {
            source.SetArmed(armed);
        }
        catch (HostException e)
        {
            owner.RouteRefused(vector, e);
        }
    }

    private void Disarm(MessageSource source)
    {
        if (source.IsArmed)
        {
            source.Route!.Disarm();
            SetArmed(source, false);
        }
    }

    private void ReleaseRoute(MessageSource source)
    {
        Disarm(source);
        source.Route?.Dispose();
        source.Route = null;
    }
}
