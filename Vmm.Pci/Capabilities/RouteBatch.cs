using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Pci.Capabilities;

/// <summary>Changes several vectors that have an eventfd, and arms what turns effective by one change of the hypervisor's table (KVM-5).</summary>
/// <remarks>
/// The gates of the vectors are taken in order of index and held until <see cref="Complete"/>, so that to everybody else the vectors change as one.
/// Whoever makes a batch completes it, whatever happens. For one thread.
/// </remarks>
internal sealed class RouteBatch(IIrqRouting? routing)
{
    private readonly List<MessageVector> _held = [];
    private readonly List<(MessageVector Vector, MessageSource Source)> _waiting = [];
    private readonly List<RouteArming> _armings = [];

    /// <summary>Has a vector follow the registers. Its index is above those before.</summary>
    public void Refresh(MessageVector vector)
    {
        Hold(vector);
        if (vector.UpdateFromFunction() && vector.Sources is { } sources)
        {
            foreach (MessageSource source in sources.All)
            {
                Await(vector, source);
            }
        }
    }

    /// <summary>Gives a vector its eventfd and route. Its index is above those before.</summary>
    public void Adopt(MessageVector vector, MessageSource own)
    {
        Hold(vector);
        if (vector.Adopt(own))
        {
            Await(vector, own);
        }
    }

    /// <summary>Arms, sends what is pending, and lets the vectors go.</summary>
    public void Complete()
    {
        try
        {
            ArmWaiting();
        }
        finally
        {
            LetGo();
        }
    }

    private void ArmWaiting()
    {
        if (_armings.Count > 1 && routing is not null)
        {
            try
            {
                routing.ArmAll(_armings);
                foreach ((MessageVector vector, MessageSource source) in _waiting)
                {
                    vector.Sources!.SetArmed(source, true);
                }

                return;
            }
            catch (HostException)
            {
                // Not all of them have room: as many as have, one by one, and the others are reported.
            }
        }

        foreach ((MessageVector vector, MessageSource source) in _waiting)
        {
            vector.Sources!.Arm(source, vector.Message);
        }
    }

    private void LetGo()
    {
        try
        {
            foreach (MessageVector vector in _held)
            {
                vector.SendPending();
            }
        }
        finally
        {
            foreach (MessageVector vector in _held)
            {
                vector.Release();
            }
        }
    }

    private void Hold(MessageVector vector)
    {
        vector.Acquire();
        _held.Add(vector);
    }

    private void Await(MessageVector vector, MessageSource source)
    {
        if (source.Route is { } route)
        {
            _waiting.Add((vector, source));
            _armings.Add(new RouteArming(route, vector.Message));
        }
    }
}
