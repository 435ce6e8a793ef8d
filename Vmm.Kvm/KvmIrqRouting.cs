using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm.Interop;

namespace Vmm.Kvm;

/// <summary>The GSI table and the irqfds on it (KVM_SET_GSI_ROUTING, KVM_IRQFD).</summary>
/// <remarks>
/// Thread-safe. One lock covers the table and the kernel calls that change it; nothing is called out under it.
/// Order for a changed route (KVM-4): de-assign the irqfd, set the table, assign the irqfd; a route leaves the table only after its irqfd is
/// gone. A freed route's row leaves the kernel's table with the next change of the table, since each change costs a grace period (KVM-5).
/// </remarks>
public sealed unsafe class KvmIrqRouting : IIrqRouting
{
    private const int FirstGsi = KvmConstants.KVM_IOAPIC_NUM_PINS;

    private readonly IVmCalls _calls;
    private readonly ILogger _logger;
    private readonly kvm_irq_routing_entry[] _fixedRoutes;
    private readonly NumberAllocator _numbers;
    private readonly SortedDictionary<int, IrqRoute> _routes = [];
    private readonly Lock _lock = new();
    private int _armed;
    private long _tableChanges;

    internal KvmIrqRouting(IVmCalls calls, int tableLimit, bool interruptController, ILogger logger)
    {
        _calls = calls;
        _logger = logger;
        TableLimit = tableLimit;
        _fixedRoutes = interruptController ? ControllerRoutes() : [];
        _numbers = new NumberAllocator(Math.Max(tableLimit - _fixedRoutes.Length, 0));
    }

    /// <summary>How many rows the hypervisor's table has (KVM_CAP_IRQ_ROUTING), the 40 of the interrupt controllers included.</summary>
    public int TableLimit { get; }

    /// <summary>How many message routes hold a GSI.</summary>
    public int RouteCount
    {
        get
        {
            lock (_lock)
            {
                return _routes.Count;
            }
        }
    }

    /// <summary>How many routes are armed with an irqfd.</summary>
    public int ArmedCount => Volatile.Read(ref _armed);

    /// <summary>How often the table was changed; each change costs a grace period of the kernel.</summary>
    public long TableChanges => Volatile.Read(ref _tableChanges);

    /// <inheritdoc/>
    public IIrqRoute CreateRoute(EventFd source)
    {
        ArgumentNullException.ThrowIfNull(source);
        return new IrqRoute(this, source);
    }

    /// <inheritdoc/>
    public void ArmAll(IReadOnlyList<RouteArming> armings)
    {
        ArgumentNullException.ThrowIfNull(armings);
        foreach (RouteArming arming in armings)
        {
            if (arming.Route is not IrqRoute route || route.Owner != this)
            {
                throw new ArgumentException("a route of another machine", nameof(armings));
            }

            ObjectDisposedException.ThrowIf(route.IsDisposed, route);
        }

        lock (_lock)
        {
            try
            {
                bool changed = false;
                foreach (RouteArming arming in armings)
                {
                    changed |= Prepare((IrqRoute)arming.Route, arming.Message);
                }

                if (changed)
                {
                    SetTable();
                }

                foreach (RouteArming arming in armings)
                {
                    Assign((IrqRoute)arming.Route);
                }
            }
            catch
            {
                foreach (RouteArming arming in armings)
                {
                    Release((IrqRoute)arming.Route);
                }

                throw;
            }
        }
    }

    private void Arm(IrqRoute route, in MsiMessage message)
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(route.IsDisposed, route);
            try
            {
                if (Prepare(route, message))
                {
                    SetTable();
                }

                Assign(route);
            }
            catch
            {
                Release(route);
                throw;
            }
        }
    }

    /// <summary>Gives the route a GSI and its row the message.</summary>
    /// <returns>True if the table changed.</returns>
    private bool Prepare(IrqRoute route, in MsiMessage message)
    {
        if (route.Gsi >= 0 && route.Message == message)
        {
            return false;
        }

        Deassign(route);
        if (route.Gsi < 0)
        {
            if (!_numbers.TryAllocate(out int number))
            {
                throw new HostException(
                    "KVM_SET_GSI_ROUTING",
                    Errno.ENOSPC,
                    $"all {_numbers.Limit} message routes are in use "
                    + $"(the limit is KVM_CAP_IRQ_ROUTING, {TableLimit}, less {_fixedRoutes.Length} of the interrupt controllers)");
            }

            route.Gsi = FirstGsi + number;
            _routes.Add(route.Gsi, route);
        }

        route.Message = message;
        return true;
    }

    private void SetTable()
    {
        int count = _fixedRoutes.Length + _routes.Count;
        byte[] buffer = new byte[sizeof(kvm_irq_routing) + (count * sizeof(kvm_irq_routing_entry))];
        fixed (byte* pointer = buffer)
        {
            var header = (kvm_irq_routing*)pointer;
            header->nr = (uint)count;
            var rows = new Span<kvm_irq_routing_entry>(header + 1, count);
            _fixedRoutes.CopyTo(rows);
            int next = _fixedRoutes.Length;
            foreach (IrqRoute route in _routes.Values)
            {
                rows[next++] = new kvm_irq_routing_entry
                {
                    gsi = (uint)route.Gsi,
                    type = KvmConstants.KVM_IRQ_ROUTING_MSI,
                    msi_address_lo = (uint)route.Message.Address,
                    msi_address_hi = (uint)(route.Message.Address >> 32),
                    msi_data = route.Message.Data,
                };
            }

            Interlocked.Increment(ref _tableChanges);
            int result = _calls.Call(KvmRequests.KVM_SET_GSI_ROUTING, pointer);
            if (result < 0)
            {
                throw KvmCall.Failure("KVM_SET_GSI_ROUTING", -result, $"setting {count} of at most {TableLimit} routes");
            }
        }
    }

    private void Assign(IrqRoute route)
    {
        if (route.IsArmed)
        {
            return;
        }

        int result = CallIrqFd(route, 0);
        if (result < 0)
        {
            throw KvmCall.Failure("KVM_IRQFD", -result, $"arming GSI {route.Gsi}");
        }

        route.IsArmed = true;
        Interlocked.Increment(ref _armed);

        // What was signalled before is delivered by the assignment, but stays in the counter; from here on the kernel takes every signal
        // out itself. So what is left is old, and would count as a new event after the next masking.
        route.Source.TryConsume(out _);
    }

    private void Deassign(IrqRoute route)
    {
        if (!route.IsArmed)
        {
            return;
        }

        route.IsArmed = false;
        Interlocked.Decrement(ref _armed);
        int result;
        try
        {
            result = _calls.IsClosed ? 0 : CallIrqFd(route, KvmConstants.KVM_IRQFD_FLAG_DEASSIGN);
        }
        catch (ObjectDisposedException)
        {
            // The caller closed the eventfd first; the kernel drops the irqfd with its eventfd.
            result = 0;
        }

        if (result < 0 && !_calls.IsClosed)
        {
            _logger.RemovalRefused("irqfd", $"GSI {route.Gsi}", -result);
        }
    }

    /// <summary>Disarms the route and frees its GSI; the row goes with the next change of the table.</summary>
    private void Release(IrqRoute route)
    {
        Deassign(route);
        if (route.Gsi >= 0)
        {
            _routes.Remove(route.Gsi);
            _numbers.Free(route.Gsi - FirstGsi);
            route.Gsi = -1;
        }
    }

    private int CallIrqFd(IrqRoute route, uint flags)
    {
        var irqfd = new kvm_irqfd { fd = (uint)route.Source.Descriptor, gsi = (uint)route.Gsi, flags = flags };
        return _calls.Call(KvmRequests.KVM_IRQFD, &irqfd);
    }

    /// <summary>What KVM_CREATE_IRQCHIP sets up: GSI 0 to 7 on the first PIC, 8 to 15 on the second, 0 to 23 on the I/O APIC.</summary>
    private static kvm_irq_routing_entry[] ControllerRoutes()
    {
        var routes = new List<kvm_irq_routing_entry>();
        for (uint gsi = 0; gsi < KvmConstants.KVM_IOAPIC_NUM_PINS; gsi++)
        {
            if (gsi < 16)
            {
                uint pic = gsi < 8 ? KvmConstants.KVM_IRQCHIP_PIC_MASTER : KvmConstants.KVM_IRQCHIP_PIC_SLAVE;
                routes.Add(ChipRoute(gsi, pic, gsi % 8));
            }

            routes.Add(ChipRoute(gsi, KvmConstants.KVM_IRQCHIP_IOAPIC, gsi));
        }

        return [.. routes];
    }

    private static kvm_irq_routing_entry ChipRoute(uint gsi, uint chip, uint pin)
    {
        return new kvm_irq_routing_entry { gsi = gsi, type = KvmConstants.KVM_IRQ_ROUTING_IRQCHIP, irqchip_irqchip = chip, irqchip_pin = pin };
    }

    private sealed class IrqRoute(KvmIrqRouting owner, EventFd source) : IIrqRoute
    {
        public KvmIrqRouting Owner => owner;

        public EventFd Source => source;

        public int Gsi { get; set; } = -1;

        public MsiMessage Message { get; set; }

        public bool IsArmed { get; set; }

        public bool IsDisposed { get; private set; }

        public void Arm(in MsiMessage message) => owner.Arm(this, message);

        public void Disarm()
        {
            lock (owner._lock)
            {
                owner.Deassign(this);
            }
        }

        public void Dispose()
        {
            lock (owner._lock)
            {
                if (!IsDisposed)
                {
                    IsDisposed = true;
                    owner.Release(this);
                }
            }
        }
    }
}
