using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;

namespace Vmm.Testing.Seams;

/// <summary>Remembers the irqfd routes that were asked for, and can refuse to arm them; nothing is delivered. Thread-safe.</summary>
public sealed class RecordingIrqRouting : IIrqRouting
{
    private readonly Lock _lock = new();
    private readonly List<RecordingIrqRoute> _routes = [];

    /// <summary>How many more routes may be armed before the hypervisor is exhausted; null is no limit.</summary>
    public int? ArmsLeft { get; set; }

    /// <summary>All routes ever made, disposed ones too.</summary>
    public IReadOnlyList<RecordingIrqRoute> Routes
    {
        get
        {
            lock (_lock)
            {
                return _routes.ToArray();
            }
        }
    }

    /// <summary>Routes that still hold something.</summary>
    public int LiveRoutes => Routes.Count(route => !route.IsDisposed);

    /// <inheritdoc/>
    public IIrqRoute CreateRoute(EventFd source)
    {
        var route = new RecordingIrqRoute(this, source);
        lock (_lock)
        {
            _routes.Add(route);
        }

        return route;
    }

    /// <summary>How many changes of the table there were: one for each arming alone, and one for each <see cref="ArmAll"/>.</summary>
    public int TableChanges { get; private set; }

    /// <inheritdoc/>
    public void ArmAll(IReadOnlyList<RouteArming> armings)
    {
        lock (_lock)
        {
            TableChanges++;
            int spent = armings.Count(static arming => !((RecordingIrqRoute)arming.Route).IsSpent);
            if (ArmsLeft < spent)
            {
                foreach (RouteArming arming in armings)
                {
                    arming.Route.Disarm();
                }

                throw new HostException("KVM_IRQFD", 28, "no GSI is left");
            }
        }

        foreach (RouteArming arming in armings)
        {
            ((RecordingIrqRoute)arming.Route).ArmWithOthers(arming.Message);
        }
    }

    internal void CountChange()
    {
        lock (_lock)
        {
            TableChanges++;
        }
    }

    internal void TakeArm()
    {
        lock (_lock)
        {
            if (ArmsLeft is 0)
            {
                throw new HostException("KVM_IRQFD", 28, "no GSI is left");
            }

            ArmsLeft--;
        }
    }
}
