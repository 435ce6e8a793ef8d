using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Tests.Pci;

/// <summary>What a function hears of its MSI-X and MSI capabilities, what it does to them, and how its place on a bus counts.</summary>
public sealed class MsixFunctionTests
{
    private const uint Bar0 = 0xc000_0000;

    private readonly PciRig _rig = new();
    private readonly MsiCapability _msi = new(2, perVectorMasking: true);
    private readonly MsixCapability _msix = new(3, 0, 0, 0, 0x800);
    private readonly WatchedFunction _function = new();

    public MsixFunctionTests()
    {
        _function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [_msix.CreateTableRegion(), _msix.CreatePendingRegion()]));
        _function.AddCapability(_msi);
        _function.AddCapability(_msix);
        _rig.Add(_function);
        _rig.Write(0x10, 4, Bar0);
        _rig.Write(4, 2, 6);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-2")]
    [Trait("Behaviour", "PCI-11")]
    public void The_mode_changes_with_enable_and_function_mask_and_with_nothing_else()
    {
        int control = _msix.Offset + 2;
        foreach (uint written in new uint[] { 0x8000, 0x8000, 0x80ff, 0xc000, 0x4000, 0x0000 })
        {
            _rig.Write(control, 2, written);
        }

        _function.Heard.Should().Equal("enabled", "masked", "disabled", "disabled");
        _function.Heard.Clear();
        _rig.Write(_msi.Offset + 4, 4, 0xfee1_0000);
        _rig.Write(_msi.Offset + 2, 2, 0x11);
        _rig.Write(_msi.Offset + 2, 2, 0x11);
        _rig.Write(_msi.Offset + 4, 4, 0xfee0_0000);
        _rig.Write(_msi.Offset + 12, 2, 0xffff);
        _rig.Write(_msi.Offset + 16, 4, 0xffff_ffff);
        _rig.Write(_msi.Offset + 2, 2, 0x01);
        _rig.Write(_msi.Offset + 2, 2, 0x10);
        _function.Heard.Should().Equal("messages", "disabled");
    }

    [Fact]
    [Trait("Behaviour", "PCI-11")]
    public void Only_a_write_that_sets_the_enable_bit_takes_the_count()
    {
        _rig.Write(_msi.Offset + 2, 2, 0x11);
        _msi.EnabledCount.Should().Be(2);
        _rig.Write(_msi.Offset + 2, 2, 0x01);
        _rig.Write(_msi.Offset + 4, 4, 0xfee1_0000);
        _msi.EnabledCount.Should().Be(2, "bit 16 of the address is no enable bit");
        _rig.Write(_msi.Offset + 2, 2, 0x00);
        _msi.EnabledCount.Should().Be(2, "it is what was given when the bit was set last");
        _rig.Write(_msi.Offset + 2, 2, 0x01);
        _msi.EnabledCount.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "MSIX-3")]
    public void Writes_to_the_table_are_told_by_the_entries_that_they_touch()
    {
        _rig.Memory.Write(Bar0 + 12, 4, 0);
        _rig.Memory.Write(Bar0 + 16, 8, 0xfee0_0000);
        _msix.TableHandler.Write(16 + 12, 8, 0);
        _msix.TableHandler.Write(32 + 12, 8, 0);
        _rig.Memory.Write(Bar0 + 32, 2, 0);
        _msix.TableHandler.Write(2, 4, 0);
        _msix.TableHandler.Write(48, 4, 0);
        _rig.Memory.Read(Bar0, 4);
        _function.Heard.Should().Equal("written 0+1", "written 1+1", "written 1+2", "written 2+1");
    }

    [Fact]
    public void A_function_that_takes_the_enable_bit_back_is_as_if_the_guest_had()
    {
        foreach (MessageCapability capability in new MessageCapability[] { _msix, _msi })
        {
            _function.Intx.SetLevel(true);
            _rig.Write(capability.Offset + 2, 2, 0x8001);
            _rig.Lines[19].IsAsserted.Should().BeFalse();
            _function.Heard.Clear();

            capability.Disable();

            capability.IsEnabled.Should().BeFalse();
            (_rig.Read(capability.Offset + 2, 2) & 0x8001).Should().Be(0);
            _function.Heard.Should().Equal("disabled");
            _rig.Lines[19].IsAsserted.Should().BeTrue("the pin speaks again");
            _msix[0].IsEffective.Should().BeFalse();
            _msi[0].IsEffective.Should().BeFalse();
        }

        FluentActions.Invoking(() => new MsiCapability(1).Disable()).Should().Throw<InvalidOperationException>().WithMessage("*added to a function*");
    }

    [Fact]
    [Trait("Behaviour", "MSIX-4")]
    public void A_vector_is_silent_once_it_is_disabled_from_within()
    {
        _rig.Write(_msix.Offset + 2, 2, 0x8000);
        _rig.Memory.Write(Bar0 + 12, 4, 0);
        _msix[0].IsEffective.Should().BeTrue();
        _msix.Disable();
        _msix[0].IsEffective.Should().BeFalse();
        _msix[0].Signal();
        _rig.Sink.Count.Should().Be(0);
        _msix[0].IsPending.Should().BeTrue();
    }

    [Fact]
    public void A_function_that_left_its_bus_sends_nothing_through_it()
    {
        _rig.Write(_msix.Offset + 2, 2, 0x8000);
        _rig.Memory.Write(Bar0 + 12, 4, 0);
        _rig.Bridge.Root.Remove(_function);
        _msix[0].Signal();
        _rig.Sink.Count.Should().Be(0);

        _rig.Add(_function, 9);
        _rig.Write(4, 2, 6, 9);
        _rig.Write(_msix.Offset + 2, 2, 0x8000, 9);
        _msix[0].Signal();
        _rig.Sink.Sent.Should().OnlyContain(static sent => sent.RequesterId == 9 << 3).And.NotBeEmpty("it speaks on its new place");
    }

    [Fact]
    public void On_a_bus_that_takes_no_messages_they_are_counted_as_not_accepted()
    {
        var domain = new AccessDomain();
        var bridge = new PciHostBridge(new PciHostBridgeOptions
        {
            Memory = new AddressSpace(new AddressSpaceOptions { Domain = domain }),
            Ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, Name = "ports" }),
        });
        var msi = new MsiCapability(1);
        var function = new PciFunction(PciRig.Identity);
        function.AddCapability(msi);
        bridge.Root.Add(function, 1);
        function.WriteConfiguration(4, 2, 4);
        function.WriteConfiguration(msi.Offset + 2, 2, 1);
        msi[0].Signal();
        (msi[0].Sent, msi[0].Unaccepted).Should().Be((1, 1));
        FluentActions.Invoking(() => msi[0].GetEventFd()).Should().Throw<InvalidOperationException>().WithMessage("*interrupt routing*");
    }

    [Fact]
    [Trait("Behaviour", "PCI-11")]
    public void Without_mask_bits_what_lies_behind_the_capability_masks_nothing()
    {
        // The next capability's id has bit 0 set where the mask bits would be.
        var msi = new MsiCapability(1);
        var power = new PowerManagementCapability();
        var rig = new CapabilityRig(msi, power);
        power.Offset.Should().Be(msi.Offset + 16);
        rig.Rig.Write(msi.Offset + 4, 4, 0xfee0_0000);
        rig.Rig.Write(msi.Offset + 2, 2, 1);
        msi[0].IsMasked.Should().BeFalse();
        msi[0].Signal();
        rig.Rig.Sink.Sent.Should().Equal(new SentMsi(new MsiMessage(0xfee0_0000, 0), rig.Function.Address.RequesterId));
    }

    [Theory]
    [InlineData("another handler")]
    [InlineData("another BAR")]
    [InlineData("it starts before")]
    [Trait("Behaviour", "MSIX-9")]
    public void A_table_must_lie_in_its_BAR_at_its_offset_and_nowhere_else(string wrong)
    {
        var msix = new MsixCapability(1, 0, 0x10, 0, 0x800);
        PciBarRegion table = wrong switch
        {
            "another handler" => new("other", 0x10, 16, new RecordingHandler(16)),
            "another BAR" => new("empty", 0x20, 16, new RecordingHandler(16)),
            _ => new("early", 0, 0x20, msix.TableHandler),
        };
        PciFunction function = PciRig.Function(
            new PciBar(0, PciBarKind.Memory32, 0x1000, [table, msix.CreatePendingRegion()]),
            new PciBar(1, PciBarKind.Memory32, 0x1000, wrong == "another BAR" ? [msix.CreateTableRegion()] : []));
        function.AddCapability(msix);
        FluentActions.Invoking(() => new PciRig().Add(function)).Should().Throw<ArgumentException>().WithMessage("*BAR 0*table at 0x10*");
    }

    /// <summary>Remembers what it hears, in order.</summary>
    private sealed class WatchedFunction() : PciFunction(PciRig.Identity, new PciFunctionOptions { Pin = InterruptPin.A })
    {
        public List<string> Heard { get; } = [];

        protected override void OnInterruptModeChanged()
        {
            MsixCapability msix = Capabilities.OfType<MsixCapability>().Single();
            Heard.Add(msix.IsEnabled ? (msix.IsFunctionMasked ? "masked" : "enabled") : UsesMessages ? "messages" : "disabled");
        }

        protected internal override void OnVectorsWritten(int first, int count) => Heard.Add($"written {first}+{count}");
    }
}
