using System;
using System.Collections.Generic;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;

namespace Vmm.Tests.Pci;

/// <summary>Memory slots that remember what is mapped and refuse what they are told to.</summary>
internal sealed class FakeSlots : IMemorySlots
{
    public Func<ulong, bool> Refuses { get; set; } = static _ => false;

    public SortedDictionary<ulong, (ulong Length, bool ReadOnly)> Mapped { get; } = [];

    public int Calls { get; private set; }

    public IDisposable Map(ulong guestAddress, ulong length, nint host, bool readOnly, bool isRam = false)
    {
        Calls++;
        if (Refuses(guestAddress))
        {
            throw new HostException("KVM_SET_USER_MEMORY_REGION", 22, "refused by the test");
        }

        Mapped.Add(guestAddress, (length, readOnly));
        return new Slot(this, guestAddress);
    }

    private sealed class Slot(FakeSlots slots, ulong guestAddress) : IDisposable
    {
        public void Dispose() => slots.Mapped.Remove(guestAddress).Should().BeTrue();
    }
}
