using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;

namespace Vmm.Testing.Seams;

/// <summary>Doorbells that are only remembered, with refusals on demand. Thread-safe.</summary>
public sealed class RecordingDoorbells : IDoorbells
{
    private readonly List<RegisteredDoorbell> _registered = [];
    private readonly List<string> _calls = [];

    /// <summary>Asked by address before each registration: true refuses it as a hypervisor without room does.</summary>
    public Func<ulong, bool>? Refuse { get; set; }

    /// <summary>What is registered now, by address.</summary>
    public IReadOnlyList<RegisteredDoorbell> Registered
    {
        get
        {
            lock (_registered)
            {
                return _registered.OrderBy(doorbell => doorbell.Address).ToList();
            }
        }
    }

    /// <summary>Calls in order, for example <c>add 3000</c>, <c>remove 3000</c>.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_registered)
            {
                return _calls.ToList();
            }
        }
    }

    /// <summary>Forgets the calls so far.</summary>
    public void ClearCalls()
    {
        lock (_registered)
        {
            _calls.Clear();
        }
    }

    /// <summary>Does what the hypervisor would do at a guest's write.</summary>
    /// <param name="address">Guest address of the write.</param>
    /// <param name="width">Bytes.</param>
    /// <param name="value">Value of the write.</param>
    /// <returns>False if no doorbell matches: the write exits and goes to the bus.</returns>
    public bool Ring(ulong address, int width, ulong value)
    {
        lock (_registered)
        {
            foreach (RegisteredDoorbell doorbell in _registered)
            {
                bool matches = doorbell.DataMatch is { } match ? match == value && doorbell.Width == width : true;
                if (doorbell.Address == address && matches)
                {
                    doorbell.Target.Signal();
                    return true;
                }
            }

            return false;
        }
    }

    /// <inheritdoc/>
    /// <remarks>Disposing a registration twice throws an <see cref="InvalidOperationException"/>: that is a fault of the code under test.</remarks>
    public IDisposable Register(AddressSpaceKind kind, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        lock (_registered)
        {
            if (Refuse?.Invoke(address) == true)
            {
                _calls.Add($"refused {address:x}");
                throw new HostException("doorbell", 28, "no more devices on the bus");
            }

            var doorbell = new RegisteredDoorbell(kind, address, width, dataMatch, target);
            _registered.Add(doorbell);
            _calls.Add($"add {address:x}");
            return new Registration(() => Remove(doorbell));
        }
    }

    private void Remove(RegisteredDoorbell doorbell)
    {
        lock (_registered)
        {
            if (!_registered.Remove(doorbell))
            {
                throw new InvalidOperationException($"removed twice: {doorbell}");
            }

            _calls.Add($"remove {doorbell.Address:x}");
        }
    }

    private sealed class Registration(Action dispose) : IDisposable
    {
        public void Dispose() => dispose();
    }
}
