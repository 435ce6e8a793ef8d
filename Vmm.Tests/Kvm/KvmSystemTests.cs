using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.Kvm;

namespace Vmm.Tests.Kvm;

public sealed class KvmSystemTests
{
    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void No_device_says_what_to_do()
    {
        Action open = () => KvmSystem.Open("/nonexistent/kvm");
        open.Should().Throw<HostException>().WithMessage("opening /nonexistent/kvm: it does not exist*errno 2*").Which.Errno.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "KVM-9")]
    public void Another_device_is_not_taken_for_a_hypervisor()
    {
        Action open = () => KvmSystem.Open("/dev/null");
        open.Should().Throw<HostException>().WithMessage("KVM_GET_API_VERSION*/dev/null is not a KVM device*");
    }

    [Theory]
    [Trait("Behaviour", "KVM-9")]
    [InlineData(13, "*usermod -aG kvm*")]
    [InlineData(1, "*group*")]
    [InlineData(19, "*kvm_intel or kvm_amd*firmware*")]
    [InlineData(16, "*another hypervisor*")]
    [InlineData(24, "*RLIMIT_NOFILE*")]
    public void Each_reason_has_its_advice(int errno, string advice)
    {
        HostException error = KvmSystem.OpenFailure("/dev/kvm", errno);
        error.Message.Should().Match(advice).And.Contain("/dev/kvm");
        error.Errno.Should().Be(errno);
    }

    [KvmFact]
    public void The_hypervisor_tells_its_limits()
    {
        using var system = KvmSystem.Open();
        system.MaxVcpus.Should().BePositive();
        system.VcpuMapSize.Should().BeGreaterThanOrEqualTo(4096);
        system.CheckExtension(KvmCapability.MemorySlots).Should().BeGreaterThanOrEqualTo(32);
    }

    [KvmFact]
    public void Supported_cpuid_has_the_basic_leaves()
    {
        using var system = KvmSystem.Open();
        IReadOnlyList<CpuidEntry> entries = system.GetSupportedCpuid();
        entries.Select(entry => entry.Function).Should().Contain([0u, 1u, 0x4000_0000u, 0x8000_0000u]);
    }
}
