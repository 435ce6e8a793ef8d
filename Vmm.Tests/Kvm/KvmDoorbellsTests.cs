using System;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

public sealed class KvmDoorbellsTests : IDisposable
{
    private readonly FakeVmCalls _kernel = new();
    private readonly EventFd _event = new();
    private readonly KvmDoorbells _doorbells;

    public KvmDoorbellsTests()
    {
        _doorbells = new KvmDoorbells(_kernel, NullLogger.Instance);
    }

    [Fact]
    [Trait("Behaviour", "KVM-7")]
    public void Without_a_value_to_match_the_length_is_0()
    {
        _doorbells.Register(AddressSpaceKind.Memory, 0xD000_3000, 2, null, _event).Dispose();
        _kernel.Log.Should().Equal("ring memory 0xD0003000 length 0", "unring memory 0xD0003000 length 0");
    }

    [Fact]
    [Trait("Behaviour", "KVM-7")]
    public void If_the_kernel_refuses_length_0_the_access_length_is_used_and_removed()
    {
        _kernel.Answer = line => line.EndsWith("length 0", StringComparison.Ordinal) ? -22 : 0;
        _doorbells.Register(AddressSpaceKind.Memory, 0xD000_3000, 2, null, _event).Dispose();
        _kernel.Log.Should().Equal("ring memory 0xD0003000 length 0", "ring memory 0xD0003000 length 2", "unring memory 0xD0003000 length 2");
    }

    [Fact]
    [Trait("Behaviour", "KVM-7")]
    public void A_value_to_match_needs_the_access_length()
    {
        _doorbells.Register(AddressSpaceKind.Port, 0xC010, 4, 7, _event).Dispose();
        _kernel.Log.Should().Equal("ring port 0xC010 length 4 match 7", "unring port 0xC010 length 4 match 7");
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void A_refusal_names_the_address_and_counts_nothing()
    {
        _kernel.Answer = _ => -17;
        Action register = () => _doorbells.Register(AddressSpaceKind.Memory, 0x1234_0000, 4, null, _event);
        register.Should().Throw<HostException>().WithMessage("KVM_IOEVENTFD*0x12340000*already*errno 17*").Which.Step.Should().Be("KVM_IOEVENTFD");
        _doorbells.Count.Should().Be(0);
        _kernel.Log.Should().ContainSingle("an address that is taken is taken for every length");
    }

    [Fact]
    [Trait("Behaviour", "KVM-6")]
    public void Disposing_twice_removes_once()
    {
        IDisposable doorbell = _doorbells.Register(AddressSpaceKind.Memory, 0x1000, 4, null, _event);
        using IDisposable other = _doorbells.Register(AddressSpaceKind.Memory, 0x1004, 4, null, _event);
        doorbell.Dispose();
        doorbell.Dispose();
        _doorbells.Count.Should().Be(1);
        _kernel.CountOf("unring").Should().Be(1);
    }

    [Fact]
    public void An_eventfd_closed_too_early_does_not_throw_from_disposal()
    {
        var early = new EventFd();
        IDisposable doorbell = _doorbells.Register(AddressSpaceKind.Memory, 0x1000, 4, null, early);
        early.Dispose();
        doorbell.Invoking(d => d.Dispose()).Should().NotThrow();
    }

    public void Dispose() => _event.Dispose();
}
