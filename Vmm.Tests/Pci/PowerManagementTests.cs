using System;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>D3hot, the return from it, and function-level reset.</summary>
[Trait("Behaviour", "PCI-13")]
public sealed class PowerManagementTests
{
    [Fact]
    public void Power_on_is_D0_and_states_that_are_not_offered_change_nothing()
    {
        var power = new PowerManagementCapability();
        var rig = new CapabilityRig(power);
        rig.Rig.Read(power.Offset, 1).Should().Be(1);
        rig.Rig.Read(power.Offset + 2, 2).Should().Be(3);
        rig.Rig.Read(power.Offset + 4, 4).Should().Be(0);
        rig.Rig.Write(power.Offset + 4, 4, 0xffff_fffd);
        rig.Rig.Read(power.Offset + 4, 4).Should().Be(0);
        rig.Rig.Write(power.Offset + 4, 2, 2);
        rig.Function.PowerState.Should().Be(PciPowerState.D0);
        rig.Rig.Write(power.Offset + 5, 1, 0x03);
        rig.Function.PowerState.Should().Be(PciPowerState.D0, "the state lies in the low byte");
        rig.Decodes.Should().BeTrue();
    }

    [Fact]
    public void The_version_and_a_need_for_initialization_can_be_another_function_s_and_nothing_else()
    {
        var power = new PowerManagementCapability(capabilities: 0x22);
        new CapabilityRig(power).Rig.Read(power.Offset + 2, 2).Should().Be(0x22);
        for (int bit = 0; bit < 16; bit++)
        {
            ushort capabilities = (ushort)(1 << bit);
            Action making = () => _ = new PowerManagementCapability(capabilities: capabilities);
            if (bit is <= 2 or 5)
            {
                making.Should().NotThrow();
            }
            else
            {
                making.Should().Throw<ArgumentException>();
            }
        }
    }

    [Fact]
    public void D3hot_unmaps_the_bars_and_silences_dma_and_interrupts()
    {
        var power = new PowerManagementCapability(noSoftReset: true);
        var msi = new MsiCapability(1);
        var rig = new CapabilityRig(power, msi);
        rig.Function.Intx.SetLevel(true);
        rig.Rig.Memory.Read(CapabilityRig.Bar0, 4).Should().NotBe(0xffff_ffff);

        rig.Rig.Write(power.Offset + 4, 2, 3);

        rig.Rig.Read(power.Offset + 4, 2).Should().Be(0xb);
        rig.Rig.Memory.Read(CapabilityRig.Bar0, 4).Should().Be(0xffff_ffff);
        rig.Dma.Enabled.Should().BeFalse();
        rig.Function.IsBusMaster.Should().BeFalse();
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeFalse();
        rig.Rig.Read(0, 4).Should().Be(0x1042_1af4, "configuration space answers");
        rig.Rig.Write(msi.Offset + 2, 2, 1);
        msi[0].Signal();
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Rig.Write(0x10, 4, 0xc100_0000);
        rig.Decodes.Should().BeFalse();

        rig.Rig.Write(power.Offset + 4, 1, 0);

        rig.Function.GetMappedAddress(0).Should().Be(0xc100_0000);
        rig.Dma.Enabled.Should().BeTrue();
        rig.Rig.Sink.Count.Should().Be(1, "the event was pending");
        rig.Function.Resets.Should().Be(0, "No_Soft_Reset");
        rig.Rig.Read(4, 2).Should().Be(6);
        rig.Rig.Write(msi.Offset + 2, 2, 0);
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeTrue();
    }

    [Fact]
    public void Without_no_soft_reset_the_return_to_D0_restores_defaults()
    {
        var power = new PowerManagementCapability();
        var rig = new CapabilityRig(power);
        rig.Rig.Write(0x3c, 1, 9);
        rig.Rig.PortWrite(power.Offset + 4, 2, 3);
        rig.Function.PowerState.Should().Be(PciPowerState.D3Hot);
        rig.Function.Resets.Should().Be(0);
        rig.Rig.Read(0x3c, 1).Should().Be(9);
        rig.Rig.PortWrite(power.Offset + 4, 2, 0);
        rig.Function.Resets.Should().Be(1);
        rig.Rig.Read(4, 2).Should().Be(0);
        rig.Rig.Read(0x10, 4).Should().Be(0);
        rig.Rig.Read(0x3c, 1).Should().Be(0);
        rig.Function.PowerState.Should().Be(PciPowerState.D0);
        rig.Start();
        rig.Decodes.Should().BeTrue();
    }

    [Fact]
    public void A_reset_brings_the_function_to_D0()
    {
        var power = new PowerManagementCapability(noSoftReset: true);
        var rig = new CapabilityRig(power);
        rig.Rig.Write(power.Offset + 4, 2, 3);
        rig.Function.Reset();
        rig.Function.PowerState.Should().Be(PciPowerState.D0);
        rig.Start();
        rig.Decodes.Should().BeTrue();
        rig.Dma.Enabled.Should().BeTrue();
    }

    [Theory]
    [InlineData(2, 0x8000u)]
    [InlineData(4, 0x0000_a810u)]
    [InlineData(1, 0x80u)]
    public void Function_level_reset_resets_everything(int width, uint value)
    {
        var express = new PciExpressCapability();
        var msi = new MsiCapability(2, perVectorMasking: true);
        var rig = new CapabilityRig(express, msi);
        (rig.Rig.Read(express.Offset + 4, 4) >> 28 & 1).Should().Be(1);
        rig.Rig.Write(0x3c, 1, 7);
        rig.Rig.Write(express.Offset + 8, 1, 0);
        rig.Rig.Write(msi.Offset + 4, 4, 0xfee0_0000);
        rig.Rig.Write(msi.Offset + 16, 4, 3);
        rig.Function.Intx.SetLevel(true);
        msi[0].Signal();

        rig.Rig.Write(express.Offset + (width == 1 ? 9 : 8), width, value);

        rig.Function.Resets.Should().Be(1);
        rig.Decodes.Should().BeFalse();
        rig.Dma.Enabled.Should().BeFalse();
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeFalse();
        rig.Rig.Read(4, 2).Should().Be(0);
        rig.Rig.Read(0x3c, 1).Should().Be(0);
        rig.Rig.Read(express.Offset + 8, 2).Should().Be(0x2810, "and Initiate FLR reads zero");
        rig.Rig.Read(msi.Offset + 4, 4).Should().Be(0);
        msi[0].IsPending.Should().BeFalse();
        rig.Start();
        rig.Decodes.Should().BeTrue("the function works again");
    }

    [Fact]
    public void Without_the_capability_bit_there_is_no_function_level_reset()
    {
        var express = new PciExpressCapability(functionLevelReset: false);
        var rig = new CapabilityRig(express);
        rig.Rig.Read(express.Offset + 4, 4).Should().Be(0x8000);
        rig.Rig.Write(express.Offset + 8, 2, 0x8000);
        rig.Function.Resets.Should().Be(0);
        rig.Rig.Read(express.Offset + 8, 2).Should().Be(0);
        rig.Decodes.Should().BeTrue();
    }

    [Fact]
    public void On_a_root_bus_an_endpoint_is_integrated_and_has_no_link()
    {
        var express = new PciExpressCapability();
        var rig = new CapabilityRig(express);
        rig.Rig.Read(express.Offset + 2, 2).Should().Be(0x92);
        express.DeviceType.Should().Be(PciExpressDeviceType.RootComplexIntegratedEndpoint);
        rig.Rig.Read(express.Offset + 0xc, 4).Should().Be(0);
        rig.Rig.Read(express.Offset + 0x10, 4).Should().Be(0);
    }
}
