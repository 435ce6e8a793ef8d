using System;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Memory;

public sealed class GuestMemoryListenerTests : IDisposable
{
    private readonly HostMemory _host = HostMemory.AllocateAnonymous(0x8000);
    private readonly GuestMemory _memory = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void A_listener_learns_of_what_there_is_and_of_every_change()
    {
        _memory.Add(0x1000, _host, 0, 0x1000);
        var listener = new RecordingMemoryListener();
        using (_memory.AddListener(listener))
        {
            GuestMemoryRegion second = _memory.Add(0x4000, _host, 0, 0x1000);
            _memory.Remove(second);
            _memory.Add(0x8000, _host, 0, 0x1000);
        }

        _memory.Add(0xC000, _host, 0, 0x1000);
        listener.Calls.Should().Equal("+1000", "+4000", "-4000", "+8000", "-8000", "-1000");
    }

    [Fact]
    public void A_region_that_one_listener_refuses_is_taken_back_from_the_others()
    {
        var first = new RecordingMemoryListener();
        var second = new RecordingMemoryListener { Refused = 0x4000 };
        using IDisposable a = _memory.AddListener(first);
        using IDisposable b = _memory.AddListener(second);
        _memory.Add(0x1000, _host, 0, 0x1000);
        _memory.Invoking(m => m.Add(0x4000, _host, 0, 0x1000)).Should().Throw<HostException>();
        _memory.Current.Regions.Should().HaveCount(1);
        first.Calls.Should().Equal("+1000", "+4000", "-4000");
        second.Calls.Should().Equal("+1000");
    }

    [Fact]
    public void A_listener_that_refuses_what_there_is_is_not_added()
    {
        _memory.Add(0x1000, _host, 0, 0x1000);
        _memory.Add(0x4000, _host, 0, 0x1000);
        var listener = new RecordingMemoryListener { Refused = 0x4000 };
        _memory.Invoking(m => m.AddListener(listener)).Should().Throw<HostException>();
        _memory.Add(0x8000, _host, 0, 0x1000);
        listener.Calls.Should().Equal("+1000", "-1000");
    }
}
