using System;
using System.Collections.Generic;
using Vmm.Pci;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;

namespace Vmm.Tests.Pci;

/// <summary>Capability lists, their hooks and their limits.</summary>
public sealed class CapabilityListTests
{
    private readonly PciRig _rig = new();

    [Fact]
    [Trait("Behaviour", "PCI-10")]
    public void Capabilities_form_a_list_in_the_order_they_were_added()
    {
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(new VendorSpecificCapability([0xaa, 0xbb], [0x0f, 0x00]));
        function.AddCapability(new HookedCapability());
        function.AddCapability(new VendorSpecificCapability(new byte[13]));
        _rig.Add(function);

        (_rig.Read(6, 2) & 0x10).Should().Be(0x10);
        _rig.Read(0x34, 1).Should().Be(0x40);
        _rig.Read(0x40, 4).Should().Be(0xaa05_4809, "id 9, next 0x48, length 5");
        _rig.Read(0x44, 4).Should().Be(0x0000_00bb, "the gap up to the next dword reads zero");
        _rig.Read(0x48, 2).Should().Be(0x54fe);
        _rig.Read(0x54, 4).Should().Be(0x0010_0009, "the last one points nowhere");
        for (int offset = 0x64; offset < 256; offset++)
        {
            _rig.Read(offset, 1).Should().Be(0);
        }

        _rig.Write(0x40, 4, 0xffff_ffff);
        _rig.Read(0x40, 4).Should().Be(0xaf05_4809, "only what is writable changes");
    }

    [Fact]
    [Trait("Behaviour", "PCI-10")]
    public void A_function_without_capabilities_says_so()
    {
        _rig.Add(PciRig.Function());
        _rig.Read(0x34, 1).Should().Be(0);
        (_rig.Read(6, 2) & 0x10).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "PCI-10")]
    public void An_overflowing_list_is_refused_when_it_is_built()
    {
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(new VendorSpecificCapability(new byte[189]));
        FluentActions.Invoking(() => function.AddCapability(new VendorSpecificCapability([1])))
            .Should().Throw<ArgumentException>().WithMessage("*list overflows*");
        FluentActions.Invoking(() => new VendorSpecificCapability(new byte[190])).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => new VendorSpecificCapability(new byte[2], new byte[3])).Should().Throw<ArgumentException>();
        FluentActions.Invoking(() => function.AddCapability(new ExtendedCapability(8)))
            .Should().Throw<ArgumentException>("there is no extended space");
        function.Capabilities.Should().HaveCount(1);
    }

    [Fact]
    [Trait("Behaviour", "PCI-10")]
    public void The_extended_list_starts_at_0x100()
    {
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { ExtendedConfigurationSpace = true });
        function.AddCapability(new ExtendedCapability(12));
        function.AddCapability(new ExtendedCapability(8));
        _rig.Add(function);

        _rig.Read(0x100, 4).Should().Be(0x10c1_000b);
        _rig.Read(0x104, 4).Should().Be(0x1234_5678);
        _rig.Read(0x10c, 4).Should().Be(0x0001_000b);
        _rig.Read(0x34, 1).Should().Be(0, "the extended list is no part of the standard one");
        FluentActions.Invoking(() => new PciFunction(PciRig.Identity, new PciFunctionOptions { ExtendedConfigurationSpace = true })
            .AddCapability(new ExtendedCapability(0xf01))).Should().Throw<ArgumentException>();
    }

    [Fact]
    [Trait("Behaviour", "PCI-1")]
    public void Hooks_see_the_exact_bytes_of_an_access_and_are_never_called_for_others()
    {
        var capability = new HookedCapability();
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(new VendorSpecificCapability([0]));
        function.AddCapability(capability);
        _rig.Add(function);
        int at = capability.Offset;

        _rig.Write(at + 4, 1, 0x11);
        _rig.Write(at + 6, 2, 0x2233);
        _rig.Write(at + 8, 4, 0x44);
        _rig.Read(at + 5, 1);
        _rig.Read(at + 4, 4);
        _rig.Read(0x40, 4);

        capability.Calls.Should().Equal(
            "write 4 lanes 1 00000011", "write 4 lanes c 22330000", "write 8 lanes f 00000044", "read 4 lanes 2", "read 4 lanes f");
        _rig.Read(at + 4, 4).Should().Be(0x2233_0011 ^ 0xffff_ffff, "the hook answers");
    }

    [Fact]
    public void A_capability_that_throws_does_not_take_configuration_space_with_it()
    {
        var capability = new HookedCapability { Throws = true };
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(capability);
        _rig.Add(function);

        _rig.Read(capability.Offset + 4, 2).Should().Be(0xffff);
        _rig.Write(capability.Offset + 4, 2, 1);

        function.Faults.Should().Be(2);
        _rig.Memory.HandlerFaults.Should().Be(0);
        _rig.Read(0, 4).Should().Be(0x1042_1af4);
    }

    private sealed class HookedCapability : PciCapability
    {
        public HookedCapability()
            : base(0xfe, 12)
        {
            Define(4, 4, 0, uint.MaxValue);
        }

        public bool Throws { get; init; }

        public List<string> Calls { get; } = [];

        protected internal override bool HandlesReads => true;

        protected internal override void OnWritten(int offset, in ConfigurationWrite write)
        {
            ThrowIfAsked();
            Calls.Add($"write {offset:x} lanes {write.Lanes.Mask:x} {write.Written:x8}");
        }

        protected internal override uint OnRead(int offset, ByteLanes lanes, uint value)
        {
            ThrowIfAsked();
            Calls.Add($"read {offset:x} lanes {lanes.Mask:x}");
            return offset == 4 ? ~value : value;
        }

        private void ThrowIfAsked()
        {
            if (Throws)
            {
                throw new InvalidOperationException("a broken capability");
            }
        }
    }

    private sealed class ExtendedCapability : PciExtendedCapability
    {
        public ExtendedCapability(int length)
            : base(0x000b, 1, length)
        {
            Define(4, 4, 0x1234_5678);
        }
    }
}
