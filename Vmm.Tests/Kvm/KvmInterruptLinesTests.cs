using System;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

public sealed class KvmInterruptLinesTests
{
    private readonly FakeVmCalls _kernel = new();

    [Fact]
    public void A_line_drives_its_level()
    {
        var lines = new KvmInterruptLines(_kernel, NullLogger.Instance);
        lines.GetLine(16).SetLevel(true);
        lines.GetLine(16).SetLevel(false);
        _kernel.Log.Should().Equal("line 16 1", "line 16 0");
    }

    [Fact]
    public void A_refused_level_does_not_throw_at_the_device()
    {
        _kernel.Answer = _ => -6;
        var lines = new KvmInterruptLines(_kernel, NullLogger.Instance);
        lines.GetLine(0).Invoking(line => line.SetLevel(true)).Should().NotThrow();
    }

    [Fact]
    [Trait("Behaviour", "KVM-6")]
    public void A_connection_removes_exactly_itself()
    {
        using var source = new EventFd();
        using var resample = new EventFd();
        var lines = new KvmInterruptLines(_kernel, NullLogger.Instance);
        IDisposable connection = lines.Connect(20, source, resample);
        lines.ConnectionCount.Should().Be(1);
        connection.Dispose();
        connection.Dispose();
        lines.ConnectionCount.Should().Be(0);
        _kernel.Log.Should().Equal("assign 20 resample", "deassign 20");
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void A_refused_connection_names_the_line()
    {
        using var source = new EventFd();
        using var resample = new EventFd();
        _kernel.Answer = _ => -16;
        var lines = new KvmInterruptLines(_kernel, NullLogger.Instance);
        lines.Invoking(l => l.Connect(20, source, resample)).Should().Throw<HostException>().WithMessage("KVM_IRQFD*line 20*errno 16*");
        lines.ConnectionCount.Should().Be(0);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(24)]
    public void There_are_24_lines(int gsi)
    {
        var lines = new KvmInterruptLines(_kernel, NullLogger.Instance);
        lines.Invoking(l => l.GetLine(gsi)).Should().Throw<ArgumentOutOfRangeException>();
    }

    [Fact]
    public void A_message_goes_to_the_kernel_as_it_is_and_the_answer_comes_back()
    {
        var sink = new KvmMsiSink(_kernel);
        _kernel.Answer = _ => 1;
        sink.Send(new MsiMessage(0x1_FEE0_2000, 0x4055), 0x18).Should().BeTrue();
        _kernel.Answer = _ => 0;
        sink.Send(new MsiMessage(0xFEE0_0000, 0x31), 0).Should().BeFalse();
        _kernel.Answer = _ => -22;
        sink.Send(new MsiMessage(1, 0x31), 0).Should().BeFalse();
        _kernel.Log.Should().Equal("msi 1:FEE02000/4055", "msi 0:FEE00000/31", "msi 0:1/31");
    }
}
