using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>Doorbells that are registered now, by address; a test rings them as the hypervisor would.</summary>
internal sealed class CountingDoorbells : IDoorbells
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ulong, EventFd> _registered = [];
    private readonly Dictionary<ulong, int> _widths = [];

    /// <summary>Refuse everything.</summary>
    public bool Refuses { get; set; }

    public IReadOnlyList<ulong> Addresses
    {
        get
        {
            lock (_lock)
            {
                return _registered.Keys.Order().ToArray();
            }
        }
    }

    public EventFd this[ulong address]
    {
        get
        {
            lock (_lock)
            {
                return _registered[address];
            }
        }
    }

    /// <summary>Bytes of a write that the doorbell at an address takes.</summary>
    public int WidthOf(ulong address)
    {
        lock (_lock)
        {
            return _widths[address];
        }
    }

    public IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        if (Refuses)
        {
            throw new HostException("KVM_IOEVENTFD", 28, "none left");
        }

        lock (_lock)
        {
            _registered.Add(address, target);
            _widths[address] = width;
        }

        return new Registration(this, address);
    }

    private sealed class Registration(CountingDoorbells owner, ulong address) : IDisposable
    {
        public void Dispose()
        {
            lock (owner._lock)
            {
                owner._registered.Remove(address);
            }
        }
    }
}
