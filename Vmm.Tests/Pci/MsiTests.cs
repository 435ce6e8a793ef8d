using System;
using System.Linq;
using System.Threading.Tasks;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interrupts;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;

namespace Vmm.Tests.Pci;

/// <summary>MSI as a driver programs it.</summary>
[Trait("Behaviour", "PCI-11")]
public sealed class MsiTests
{
    private const uint Address = 0xfee0_1000;

    [Theory]
    [InlineData(1, false, false, 0x0000, 10)]
    [InlineData(4, true, false, 0x0084, 14)]
    [InlineData(8, false, true, 0x0106, 20)]
    [InlineData(32, true, true, 0x018a, 24)]
    public void Power_on_and_the_writable_bits(int vectors, bool wide, bool masking, uint control, int length)
    {
        var msi = new MsiCapability(vectors, wide, masking);
        var rig = new CapabilityRig(msi);
        msi.Length.Should().Be(length);
        rig.Rig.Read(msi.Offset, 1).Should().Be(5);
        rig.Rig.Read(msi.Offset + 2, 2).Should().Be(control);
        for (int offset = 4; offset < length; offset += 2)
        {
            rig.Rig.Read(msi.Offset + offset, 2).Should().Be(0);
        }

        int data = wide ? 12 : 8;
        rig.Rig.Write(msi.Offset + 4, 4, 0xffff_ffff);
        rig.Rig.Read(msi.Offset + 4, 4).Should().Be(0xffff_fffc);
        if (wide)
        {
            rig.Rig.Write(msi.Offset + 8, 4, 0xffff_ffff);
            rig.Rig.Read(msi.Offset + 8, 4).Should().Be(0xffff_ffff);
        }

        rig.Rig.Write(msi.Offset + data, 4, 0xffff_ffff);
        rig.Rig.Read(msi.Offset + data, 4).Should().Be(0xffff);
        if (masking)
        {
            rig.Rig.Write(msi.Offset + data + 4, 4, 0xffff_ffff);
            rig.Rig.Read(msi.Offset + data + 4, 4).Should().Be(uint.MaxValue >> (32 - vectors));
            rig.Rig.Write(msi.Offset + data + 8, 4, 0xffff_ffff);
            rig.Rig.Read(msi.Offset + data + 8, 4).Should().Be(0, "pending bits are read-only");
        }

        rig.Rig.Write(msi.Offset, 4, 0xffff_ffff);
        rig.Rig.Read(msi.Offset + 2, 2).Should().Be(control | 0x71);
    }

    [Fact]
    public void Counts_are_powers_of_two_up_to_32()
    {
        foreach (int count in new[] { 0, 3, 33, 64 })
        {
            FluentActions.Invoking(() => new MsiCapability(count)).Should().Throw<ArgumentException>();
        }
    }

    [Theory]
    [InlineData(0, 1)]
    [InlineData(1, 2)]
    [InlineData(2, 4)]
    [InlineData(3, 8)]
    [InlineData(5, 8)]
    [InlineData(7, 8)]
    public void The_low_bits_of_the_data_select_among_the_messages_that_were_given(int encoding, int given)
    {
        var msi = new MsiCapability(8);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x407f);
        Enable(rig, msi, encoding);
        msi.EnabledCount.Should().Be(given);
        for (int i = 0; i < 8; i++)
        {
            msi[i].Signal();
        }

        uint mask = (uint)given - 1;
        rig.Rig.Sink.Sent.Should().Equal(Enumerable.Range(0, given)
            .Select(i => new SentMsi(new MsiMessage(Address, (0x407fu & ~mask) | (uint)i), rig.Function.Address.RequesterId)));
        msi[7].IsPending.Should().BeFalse("nothing masks a vector without a message");
    }

    [Fact]
    public void The_count_is_taken_when_the_enable_bit_is_set()
    {
        var msi = new MsiCapability(4);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        Enable(rig, msi, 1);
        rig.Rig.Write(msi.Offset + 2, 2, 1 | (2u << 4));
        msi.EnabledCount.Should().Be(2, "a change while enabled does not count");
        rig.Rig.Write(msi.Offset + 2, 2, 0);
        Enable(rig, msi, 2);
        msi.EnabledCount.Should().Be(4);
        msi[3].Signal();
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x43);
    }

    [Fact]
    public void A_64_bit_address_and_changes_of_the_message_take_effect_at_once()
    {
        var msi = new MsiCapability(1);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x31);
        rig.Rig.Write(msi.Offset + 8, 4, 0x12);
        Enable(rig, msi, 0);
        msi[0].Signal();
        rig.Rig.Write(msi.Offset + 12, 2, 0x32);
        msi[0].Signal();
        rig.Rig.Write(msi.Offset + 4, 4, 0xfee0_2000);
        msi[0].Signal();
        rig.Rig.Sink.Sent.Select(static sent => sent.Message).Should().Equal(
            new MsiMessage(0x12_fee0_1000, 0x31), new MsiMessage(0x12_fee0_1000, 0x32), new MsiMessage(0x12_fee0_2000, 0x32));
    }

    [Fact]
    public void Masked_vectors_become_pending_and_are_sent_once_when_unmasked()
    {
        var msi = new MsiCapability(4, is64Bit: true, perVectorMasking: true);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        Enable(rig, msi, 2);
        rig.Rig.Write(msi.Offset + 16, 1, 0b1010);
        msi[1].Signal();
        msi[1].Signal();
        msi[2].Signal();
        msi[3].Signal();
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x42);
        rig.Rig.Read(msi.Offset + 20, 4).Should().Be(0b1010);
        rig.Rig.Read(msi.Offset + 20, 1).Should().Be(0b1010);
        rig.Rig.Sink.Clear();
        rig.Rig.Write(msi.Offset + 16, 1, 0b1000);
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x41);
        rig.Rig.Read(msi.Offset + 20, 4).Should().Be(0b1000);
        msi.ClearPending();
        rig.Rig.Write(msi.Offset + 16, 1, 0);
        rig.Rig.Sink.Count.Should().Be(1);
    }

    [Fact]
    public void Enabling_silences_the_pin_and_bus_mastering_gates_the_messages()
    {
        var msi = new MsiCapability(1);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        rig.Function.Intx.SetLevel(true);
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeTrue();
        Enable(rig, msi, 0);
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeFalse();
        rig.Function.UsesMessages.Should().BeTrue();
        rig.Rig.Write(4, 2, 2);
        msi[0].Signal();
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Rig.Write(4, 2, 6);
        rig.Rig.Sink.Count.Should().Be(1);
        rig.Rig.Write(msi.Offset + 2, 2, 0);
        rig.Rig.Lines[CapabilityRig.Gsi].IsAsserted.Should().BeTrue();
        msi[0].Signal();
        rig.Rig.Sink.Count.Should().Be(1);
    }

    [Fact]
    public void Msix_is_the_mechanism_while_both_are_enabled()
    {
        var msi = new MsiCapability(1);
        var rig = new MsixRig();
        var function = new Vmm.Pci.PciFunction(PciRig.Identity);
        var msix = new MsixCapability(1, 0, 0, 0, 0x800);
        function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msi);
        function.AddCapability(msix);
        rig.Rig.Add(function, 4);
        rig.Rig.Write(4, 2, 6, 4);
        rig.Rig.Write(msi.Offset + 4, 4, Address, 4);
        rig.Rig.Write(msi.Offset + 12, 2, 0x40, 4);
        rig.Rig.Write(msi.Offset + 2, 2, 1, 4);
        rig.Rig.Write(msix.Offset + 2, 2, 0x8000, 4);
        msi[0].Signal();
        rig.Rig.Sink.Count.Should().Be(0);
        rig.Rig.Write(msix.Offset + 2, 2, 0, 4);
        rig.Rig.Sink.Count.Should().Be(0, "while MSI was not the mechanism, nothing was latched");
        msi[0].Signal();
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x40);
    }

    [Fact]
    public void An_eventfd_follows_enable_mask_and_message()
    {
        var msi = new MsiCapability(2, is64Bit: false, perVectorMasking: true);
        var rig = new CapabilityRig(msi);
        EventFd eventFd = msi[1].GetEventFd();
        rig.Rig.Write(msi.Offset + 4, 4, Address);
        rig.Rig.Write(msi.Offset + 8, 2, 0x50);
        rig.Rig.Write(msi.Offset + 12, 4, 2);
        Enable(rig, msi, 1);
        eventFd.Signal();
        (rig.Rig.Read(msi.Offset + 16, 4) & 2).Should().Be(2, "the eventfd's event is folded in");
        rig.Rig.Write(msi.Offset + 12, 4, 0);
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x51);
        RecordingIrqRoute route = rig.Rig.Routing.Routes.Should().ContainSingle().Which;
        route.Armed.Should().Be(new MsiMessage(Address, 0x51));
        rig.Rig.Write(msi.Offset + 8, 2, 0x60);
        route.Armed.Should().Be(new MsiMessage(Address, 0x61));
        rig.Rig.Write(msi.Offset + 12, 4, 2);
        route.Armed.Should().BeNull();
        rig.Rig.Bridge.Root.Remove(rig.Function);
        route.IsDisposed.Should().BeTrue();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void What_happens_while_MSI_is_off_is_not_sent_when_it_goes_on(bool masking)
    {
        var msi = new MsiCapability(2, perVectorMasking: masking);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        msi[0].Signal();
        Enable(rig, msi, 1);
        rig.Rig.Sink.Count.Should().Be(0, "it was the pin's business");
        rig.Rig.Write(msi.Offset + 2, 2, 0);
        msi[1].Signal();
        msi[1].IsPending.Should().BeFalse();
        Enable(rig, msi, 1);
        rig.Rig.Sink.Count.Should().Be(0);
        msi[1].Signal();
        rig.Rig.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x41);
    }

    [Fact]
    public void What_an_eventfd_collected_while_MSI_was_off_is_not_sent_when_it_goes_on()
    {
        var msi = new MsiCapability(2, perVectorMasking: true);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        EventFd eventFd = msi[0].GetEventFd();
        eventFd.Signal();
        Enable(rig, msi, 1);
        rig.Rig.Sink.Count.Should().Be(0);
        eventFd.TryConsume(out _).Should().BeFalse();
        rig.Rig.Write(msi.Offset + 2, 2, 0);
        eventFd.Signal();
        msi[0].IsPending.Should().BeFalse();
        rig.Rig.Write(msi.Offset + 16, 4, 1);
        Enable(rig, msi, 1);
        msi[0].IsPending.Should().BeFalse();
        eventFd.Signal();
        msi[0].IsPending.Should().BeTrue("the mask latches");
    }

    [Fact]
    [Trait("Behaviour", "KVM-5")]
    public void All_messages_are_armed_by_one_change_of_the_table()
    {
        var msi = new MsiCapability(32);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        msi.CreateEventFds(Enumerable.Range(0, 32));
        Enable(rig, msi, 5);
        rig.Rig.Routing.TableChanges.Should().Be(1);
        rig.Rig.Write(msi.Offset + 12, 2, 0x60);
        rig.Rig.Routing.TableChanges.Should().Be(2);
        rig.Rig.Routing.Routes.Select(static route => (int)route.Armed!.Value.Data).Should().Equal(Enumerable.Range(0x60, 32));
    }

    [Fact]
    public void Reset_disables_and_forgets()
    {
        var msi = new MsiCapability(4, perVectorMasking: true);
        var rig = new CapabilityRig(msi);
        Program(rig, msi, 0x40);
        Enable(rig, msi, 2);
        rig.Rig.Write(msi.Offset + 16, 4, 0xf);
        msi[2].Signal();
        rig.Function.Reset();
        rig.Rig.Read(msi.Offset + 2, 2).Should().Be(0x184);
        rig.Rig.Read(msi.Offset + 4, 4).Should().Be(0);
        rig.Rig.Read(msi.Offset + 16, 4).Should().Be(0);
        rig.Rig.Read(msi.Offset + 20, 4).Should().Be(0);
        msi.EnabledCount.Should().Be(1);
    }

    [Fact]
    public async Task Masking_and_signalling_that_race_lose_and_double_nothing()
    {
        const int Rounds = 20_000;
        var msi = new MsiCapability(2, perVectorMasking: true);
        var rig = new CapabilityRig(msi);
        rig.Rig.Sink.Records = false;
        Program(rig, msi, 0x40);
        Enable(rig, msi, 1);
        var guest = Task.Run(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                rig.Rig.Write(msi.Offset + 16, 1, (uint)(i & 1));
            }

            rig.Rig.Write(msi.Offset + 16, 1, 0);
        });
        for (int i = 0; i < Rounds; i++)
        {
            msi[1].Signal();
        }

        await guest;
        rig.Rig.Sink.Count.Should().Be(Rounds, "vector 1 is never masked, and the traffic on vector 0's mask does not touch it");
        msi[1].IsPending.Should().BeFalse();
        rig.Rig.Write(msi.Offset + 16, 1, 1);
        msi[0].Signal();
        msi[0].IsPending.Should().BeTrue();
    }

    private static void Program(CapabilityRig rig, MsiCapability msi, uint data)
    {
        rig.Rig.Write(msi.Offset + 4, 4, Address);
        rig.Rig.Write(msi.Offset + (msi.Is64Bit ? 12 : 8), 2, data);
    }

    private static void Enable(CapabilityRig rig, MsiCapability msi, int encoding)
    {
        rig.Rig.Write(msi.Offset + 2, 2, 1 | ((uint)encoding << 4));
    }
}
