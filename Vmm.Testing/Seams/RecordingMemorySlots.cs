using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;

namespace Vmm.Testing.Seams;

/// <summary>Memory slots that are only remembered: what is mapped, in which order it came to be, and refusals on demand. Thread-safe.</summary>
public sealed class RecordingMemorySlots : IMemorySlots
{
    private readonly List<MappedSlot> _mapped = [];
    private readonly List<string> _calls = [];

    /// <summary>Asked by address before each map: true refuses it as a hypervisor without room does.</summary>
    public Func<ulong, bool>? Refuse { get; set; }

    /// <summary>Asked by address before each unmap: true makes it fail with the slot left mapped.</summary>
    public Func<ulong, bool>? RefuseUnmap { get; set; }

    /// <summary>What is mapped now, by address.</summary>
    public IReadOnlyList<MappedSlot> Mapped
    {
        get
        {
            lock (_mapped)
            {
                return _mapped.OrderBy(slot => slot.Address).ToList();
            }
        }
    }

    /// <summary>Calls in order, for example <c>map 1000+2000</c>, <c>unmap 1000</c>.</summary>
    public IReadOnlyList<string> Calls
    {
        get
        {
            lock (_mapped)
            {
                return _calls.ToList();
            }
        }
    }

    /// <summary>Forgets the calls so far.</summary>
    public void ClearCalls()
    {
        lock (_mapped)
        {
            _calls.Clear();
        }
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Strict as KVM is: what is not page-aligned or overlaps a slot is refused. Disposing a slot twice throws an
    /// <see cref="InvalidOperationException"/>: that is a fault of the code under test.
    /// </remarks>
    public IDisposable Map(ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam = false)
    {
        lock (_mapped)
        {
            if (guestAddress % 4096 != 0 || length % 4096 != 0 || length == 0 || host % 4096 != 0)
            {
                throw new HostException("map", 22, "not page-aligned");
            }

            if (_mapped.Any(slot => guestAddress - slot.Address < slot.Length || slot.Address - guestAddress < length))
            {
                throw new HostException("map", 17, $"0x{guestAddress:x} overlaps a slot");
            }

            if (Refuse?.Invoke(guestAddress) == true)
            {
                _calls.Add($"refused {guestAddress:x}");
                throw new HostException("map", 28, "no slot left");
            }

            var mapped = new MappedSlot(guestAddress, length, host, readOnly);
            _mapped.Add(mapped);
            _calls.Add($"map {guestAddress:x}+{length:x}");
            return new Registration(() => Unmap(mapped));
        }
    }

    private void Unmap(MappedSlot slot)
    {
        lock (_mapped)
        {
            if (RefuseUnmap?.Invoke(slot.Address) == true)
            {
                throw new HostException("unmap", 16, "busy");
            }

            if (!_mapped.Remove(slot))
            {
                throw new InvalidOperationException($"unmapped twice: {slot}");
            }

            _calls.Add($"unmap {slot.Address:x}");
        }
    }

    private sealed class Registration(Action dispose) : IDisposable
    {
        public void Dispose() => dispose();
    }
}
