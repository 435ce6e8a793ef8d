using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Access;
using Vmm.Pci.Host;
using Vmm.Tests.Fakes;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>INTx, MSI and MSI-X of a passed-through function, and the ways between them.</summary>
public sealed class PassthroughInterruptTests
{
    private const int MsiControl = 0x52;
    private const int MsixControl = 0x72;

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void The_pin_is_wired_with_resample_when_the_guest_takes_the_device_and_not_before()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        rig.Rig.Lines.Connections.Should().BeEmpty();
        rig.Enable();
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
        (int gsi, EventFd source, EventFd resample) = rig.Rig.Lines.Connections.Should().ContainSingle().Subject;
        gsi.Should().Be(rig.Rig.Bridge.Root.InterruptRouting.GetGsi(3, Vmm.Pci.Interrupts.InterruptPin.A));
        device.Triggers(PciInterruptIndex.Pin).Should().Equal(source);
        device.Resample.Should().BeSameAs(resample);
        device.Calls.Where(call => call.StartsWith("triggers") || call.StartsWith("resample")).Should().Equal("triggers Pin 0 x", "resample x");
        device.Calls.Clear();
        for (ulong offset = 0; offset < 0x4000; offset += 0x100)
        {
            rig.Rig.Memory.Read(VfioRig.Bar0 + offset, 4);
        }

        device.Calls.Should().NotContain(call => call.StartsWith("pin "), "nothing is guessed from accesses");
        rig.Write(4, 2, 0);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        rig.Rig.Lines.Connections.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void Without_lines_that_tell_of_the_acknowledgement_the_pin_is_hidden()
    {
        var space = new AddressSpace(new AddressSpaceOptions());
        var bus = new PciBus(0, new PciBusOptions { Memory = space, MsiSink = new RecordingMsiSink(), IrqRouting = new RecordingIrqRouting() });
        var function = PassthroughFunction.Attach(VfioRig.Card());
        bus.Add(function, 1);
        function.ReadConfiguration(0x3d, 1).Should().Be(0);
        function.WriteConfiguration(4, 2, 6);
        function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        function.FailedInterrupts.Should().Be(0);
        bus.Remove(function);
        function.Dispose();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(5, 1)]
    [InlineData(0xff, 1)]
    [InlineData(1, 0)]
    public void A_pin_that_does_not_exist_or_has_no_interrupt_is_none(byte pin, int count)
    {
        FakePciDevice device = new FakePciDevice().SetPin(pin).AddInterrupt(PciInterruptIndex.Pin, count).AddBar(0, 0, 0x1000);
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Read(0x3d, 1).Should().Be(0);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
    }

    [Theory]
    [Trait("Behaviour", "VFIO-9")]
    [InlineData(0, "x")]
    [InlineData(1, "xx")]
    [InlineData(2, "xxxx")]
    [InlineData(5, "xxxx")]
    public void Msi_gets_as_many_vectors_as_multiple_message_enable_says_when_it_is_enabled(int enable, string expected)
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(MsiControl, 2, (uint)(enable << 4));
        device.Calls.Clear();
        rig.Write(MsiControl, 2, (uint)((enable << 4) | 1));
        device.Calls.Should().Equal("disable Pin", $"triggers Msi 0 {expected}");
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Msi);
        rig.Function.SignallingVectors.Should().Be(expected.Length);
        rig.Rig.Lines.Connections.Should().BeEmpty();
        rig.Write(MsiControl, 2, 0);
        device.Calls.Skip(2).Should().Equal("disable Msi", "triggers Pin 0 x", "resample x");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void A_message_of_the_device_is_delivered_with_its_number_in_the_low_bits()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(0x54, 4, 0xfee0_1000);
        rig.Write(0x5c, 2, 0x40);
        rig.Write(MsiControl, 2, 0x21);
        RecordingIrqRoute route = rig.Rig.Routing.Routes.Single(route => route.Source == device.Triggers(PciInterruptIndex.Msi)[2]);
        route.Armed.Should().Be(new MsiMessage(0xfee0_1000, 0x42));
        rig.Write(0x60, 4, 4);
        route.Armed.Should().BeNull("a masked message is disarmed, its eventfd collects");
        route.Source.Signal();
        rig.Read(0x64, 4).Should().Be(4);
        rig.Write(0x60, 4, 0);
        route.Armed.Should().NotBeNull();
        rig.Rig.Sink.Sent.Select(sent => sent.Message.Data).Should().Equal(0x42u);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Msix_vectors_are_given_to_the_device_at_their_first_unmask_by_one_enabling_anew()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Clear();
        rig.Write(MsixControl, 2, 0xc000);
        device.Calls.Should().Equal("disable Pin", "triggers Msix 0 -");
        rig.Program(0, 0x30);
        rig.Program(2, 0x32, masked: true);
        device.Calls.Clear();
        rig.Write(MsixControl, 2, 0x8000);
        device.Calls.Should().Equal("triggers Msix 0 x");
        rig.Function.SignallingVectors.Should().Be(1);
        EventFd? first = device.Triggers(PciInterruptIndex.Msix)[0];
        device.Calls.Clear();
        rig.Program(2, 0x32);
        device.Calls.Should().Equal("disable Msix", "triggers Msix 0 x-x");
        device.Triggers(PciInterruptIndex.Msix)[0].Should().BeSameAs(first, "who waits on the old one still does");
        first!.TryConsume(out _).Should().BeTrue("an event of the moment in between would be lost without");
        device.Calls.Clear();
        rig.Program(1, 0x31);
        device.Calls.Should().Equal("triggers Msix 1 x");
        rig.Program(1, 0x31, masked: true);
        rig.Program(1, 0x31);
        device.Calls.Should().HaveCount(1, "masking is not the device's business");
        rig.Rig.Routing.Routes.Count(route => route.Armed is not null).Should().Be(3);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void A_device_whose_interrupts_grow_is_not_enabled_anew()
    {
        FakePciDevice device = VfioRig.Card(vectors: 64, canGrow: true);
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(MsixControl, 2, 0x8000);
        device.Calls.Clear();
        rig.Program(0, 0x30);
        rig.Program(40, 0x31);
        device.Calls.Should().Equal("triggers Msix 0 x", "triggers Msix 40 x");
        rig.Function.SignallingVectors.Should().Be(2);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Vectors_that_turn_effective_at_once_cost_one_enabling()
    {
        FakePciDevice device = VfioRig.Card(vectors: 32);
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(MsixControl, 2, 0xc000);
        for (int i = 0; i < 32; i++)
        {
            rig.Program(i, (uint)(0x30 + i));
        }

        device.Calls.Clear();
        rig.Write(MsixControl, 2, 0x8000);
        device.Calls.Should().Equal("disable Msix", "triggers Msix 0 " + new string('x', 32));
        rig.Write(MsixControl, 2, 0);
        rig.Write(MsixControl, 2, 0x8000);
        device.Calls.Skip(2).Should().Equal(
            "disable Msix", "triggers Pin 0 x", "resample x", "disable Pin", "triggers Msix 0 " + new string('x', 32));
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Without_bus_mastering_no_vector_is_effective_and_with_it_all_are()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Write(0x10, 4, (uint)VfioRig.Bar0);
        rig.Write(4, 2, 2);
        rig.Program(0, 0x30);
        rig.Write(MsixControl, 2, 0x8000);
        rig.Function.SignallingVectors.Should().Be(0);
        rig.Write(4, 2, 6);
        rig.Function.SignallingVectors.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Events_that_arrive_while_masked_are_pending_and_are_delivered_once()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Program(0, 0x30);
        rig.Write(MsixControl, 2, 0x8000);
        EventFd trigger = device.Triggers(PciInterruptIndex.Msix)[0]!;
        rig.Program(0, 0x30, masked: true);
        trigger.Signal();
        trigger.Signal();
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x3000, 8).Should().Be(1);
        rig.Program(0, 0x30);
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x3000, 8).Should().Be(0);
        rig.Rig.Sink.Sent.Should().ContainSingle();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-8")]
    [InlineData(MsiControl, 1, "Msi")]
    [InlineData(MsixControl, 0x8000, "Msix")]
    public void An_enabling_that_fails_leaves_the_pin_working_and_the_bit_clear(int register, uint enable, string kind)
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        device.Fail = call => call.StartsWith($"triggers {kind}");
        rig.Write(register, 2, enable);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
        (rig.Read(register, 2) & enable).Should().Be(0);
        rig.Function.FailedInterrupts.Should().Be(1);
        device.Triggers(PciInterruptIndex.Pin).Should().ContainSingle();
        rig.Rig.Lines.Connections.Should().ContainSingle();
        device.Fail = null;
        rig.Write(register, 2, enable);
        rig.Function.InterruptMode.ToString().Should().Be(kind);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void From_msi_to_msix_and_back_there_is_one_kind_at_a_time_and_a_failure_keeps_msi()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(MsiControl, 2, 1);
        device.Fail = call => call.StartsWith("triggers Msix");
        rig.Write(MsixControl, 2, 0x8000);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Msi);
        device.Triggers(PciInterruptIndex.Msi).Should().ContainSingle();
        device.Fail = null;
        rig.Write(MsixControl, 2, 0x8000);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Msix, "of the two, MSI-X is the mechanism");
        rig.Write(MsixControl, 2, 0);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Msi);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void A_pin_that_cannot_be_connected_is_counted_and_tried_again()
    {
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Rig.Lines.RefuseConnections = true;
        rig.Enable();
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        device.Calls.Should().NotContain(call => call.StartsWith("triggers Pin"));
        rig.Rig.Lines.RefuseConnections = false;
        device.Fail = call => call == "resample x";
        rig.Write(4, 2, 7);
        (rig.Function.InterruptMode, rig.Rig.Lines.Connections.Count).Should().Be(
            (PassthroughInterruptMode.None, 0), "what was connected is not left half-way");
        device.Triggers(PciInterruptIndex.Pin).Should().BeEmpty();
        device.Fail = null;
        rig.Write(4, 2, 6);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Vectors_that_the_device_does_not_give_stay_silent_and_the_others_work_on()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Program(0, 0x30);
        rig.Write(MsixControl, 2, 0x8000);
        device.Fail = call => call == "triggers Msix 0 xx";
        rig.Program(1, 0x31);
        rig.Function.SignallingVectors.Should().Be(1);
        device.Triggers(PciInterruptIndex.Msix).Should().ContainSingle();
        device.Fail = null;
        rig.Program(1, 0x31, masked: true);
        rig.Program(1, 0x31);
        rig.Function.SignallingVectors.Should().Be(2);
        device.Fail = call => call.StartsWith("triggers Msix");
        rig.Program(2, 0x32);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None, "the device has lost them all");
        device.Fail = null;
        rig.Write(4, 2, 7);
        rig.Function.SignallingVectors.Should().Be(3, "the next change of a register finds the way back");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void More_entries_than_the_device_has_interrupts_stay_silent()
    {
        FakePciDevice device = VfioRig.Card(vectors: 8).AddInterrupt(PciInterruptIndex.Msix, 2);
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(MsixControl, 2, 0x8000);
        for (int i = 0; i < 8; i++)
        {
            rig.Program(i, (uint)(0x30 + i));
        }

        rig.Function.SignallingVectors.Should().Be(2);
        rig.Read(MsixControl, 2).Should().Be(0x8007);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void After_20_drivers_nothing_is_left_over()
    {
        FakePciDevice device = VfioRig.Card();
        VfioRig rig = new VfioRig(device).Enable();
        for (int round = 0; round < 20; round++)
        {
            rig.Program(0, 0x30);
            rig.Write(MsixControl, 2, 0x8000);
            rig.Write(MsixControl, 2, 0);
            rig.Write(MsiControl, 2, 0x21);
            rig.Write(MsiControl, 2, 0);
        }

        rig.Rig.Routing.Routes.Should().HaveCount(5, "each vector has one eventfd for life");
        rig.Rig.Lines.Connections.Should().ContainSingle();
        rig.Dispose();
        rig.Rig.Routing.LiveRoutes.Should().Be(0);
        rig.Rig.Lines.Connections.Should().BeEmpty();
        rig.Rig.Slots.Mapped.Should().BeEmpty();
    }
}
