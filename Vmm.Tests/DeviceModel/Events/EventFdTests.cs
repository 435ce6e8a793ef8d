using System;
using System.IO;
using Vmm.DeviceModel.Events;

namespace Vmm.Tests.DeviceModel.Events;

public sealed class EventFdTests
{
    [Fact]
    public void Signals_add_up_and_are_consumed_at_once()
    {
        using var fd = new EventFd();
        fd.TryConsume(out ulong count).Should().BeFalse();
        count.Should().Be(0);
        fd.Signal();
        fd.Signal();
        fd.TryConsume(out count).Should().BeTrue();
        count.Should().Be(2);
        fd.TryConsume(out _).Should().BeFalse();
    }

    [Fact]
    public void The_descriptor_is_not_inherited()
    {
        using var fd = new EventFd();
        string flags = File.ReadAllText($"/proc/self/fdinfo/{fd.Descriptor}");
        int octal = Convert.ToInt32(flags.Split("flags:", 2)[1].Split('\n')[0].Trim(), 8);
        (octal & 0x80000).Should().Be(0x80000, "O_CLOEXEC");
        (octal & 0x800).Should().Be(0x800, "O_NONBLOCK");
    }

    [Fact]
    public void After_disposal_signals_go_nowhere()
    {
        var fd = new EventFd();
        fd.Dispose();
        fd.Dispose();
        fd.Invoking(f => f.Signal()).Should().NotThrow();
        fd.TryConsume(out _).Should().BeFalse();
        fd.Invoking(f => f.Descriptor).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    public void Signalling_and_consuming_allocate_nothing()
    {
        using var fd = new EventFd();
        fd.Signal();
        fd.TryConsume(out _);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            fd.Signal();
            fd.TryConsume(out _);
        }

        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
    }
}
