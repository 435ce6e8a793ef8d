using System.Linq;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>virtio 1.2, 4.1.4.5, 4.1.5.1.2, 4.1.5.3 and 4.1.5.4.</summary>
public sealed class InterruptTests
{
    [Fact]
    [Trait("Behaviour", "VTP-11")]
    public void A_queue_signals_the_vector_that_it_is_mapped_to_now()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: [0, 1]);
        Virtqueue ring = rig.Device.Rings[0]!;
        ring.Interrupt.Signal();
        rig.Driver.Set(Reg.QueueSelect, 2, 0);
        rig.Driver.Set(Reg.QueueMsixVector, 2, 2);
        ring.Interrupt.Signal();
        rig.Device.Rings[1]!.Interrupt.Signal();
        rig.Driver.Set(Reg.QueueMsixVector, 2, VirtioPciIds.NoVector);
        ring.Interrupt.Signal();
        rig.Driver.Set(Reg.QueueMsixVector, 2, 0);
        ring.Interrupt.Signal();

        rig.Msi.Sent.Select(m => m.Message.Data).Should().Equal(1, 2, 2, 0);
        rig.Msi.Sent.Select(m => m.RequesterId).Should().OnlyContain(id => id == 1 << 3);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0, "the ISR is unused by queues while MSI-X is enabled");
    }

    [Fact]
    [Trait("Behaviour", "VTP-11")]
    public void NO_VECTOR_means_no_message_for_configuration_changes_too()
    {
        using var rig = new TransportRig();
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: 0);
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Msi.Sent.Should().BeEmpty();
        rig.Wire.IsAsserted.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "VTP-12")]
    [Trait("Behaviour", "VTP-13")]
    public void Without_MSIX_the_ISR_says_why_and_reading_it_de_asserts_the_line()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Wire.IsAsserted.Should().BeTrue();
        (rig.Driver.ReadConfig(6, 2) & 8).Should().Be(8, "Interrupt Status");
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Device.LastHost!.ConfigurationChanged();
        rig.Memory.Write(rig.Driver.Isr, 1, 0);
        rig.Memory.Write(rig.Driver.Isr, 1, 0xff);
        rig.Wire.IsAsserted.Should().BeTrue("writes are ignored");

        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(3);

        rig.Wire.IsAsserted.Should().BeFalse();
        (rig.Driver.ReadConfig(6, 2) & 8).Should().Be(0);
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0);
        rig.Msi.Sent.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VTP-13")]
    public void Two_functions_share_a_line_and_each_answers_for_itself()
    {
        using var rig = new TransportRig();
        var second = new FakeVirtioDevice();
        rig.AddFunction(second, slot: 5);
        var other = new TestDriver(rig.Memory, TransportRig.EcamBase + (5 << 15));
        other.Place(TransportRig.BarBase + 0x100000);
        rig.Driver.Start(queues: 0);
        other.Start(queues: 0);
        rig.Bridge.Root.InterruptRouting.GetGsi(5, rig.Function.Intx.Pin)
            .Should().Be(rig.Bridge.Root.InterruptRouting.GetGsi(1, rig.Function.Intx.Pin));
        rig.Device.Rings[0]!.Interrupt.Signal();
        second.Rings[0]!.Interrupt.Signal();

        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(1);
        rig.Wire.IsAsserted.Should().BeTrue("the other function still asserts");
        rig.Memory.Read(other.Isr, 1).Should().Be(1);
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(0, "a shared handler asks both each time");
    }

    [Fact]
    [Trait("Behaviour", "VTP-12")]
    [Trait("Behaviour", "VTP-13")]
    public void INTx_is_silent_while_MSIX_is_enabled_and_takes_over_when_it_is_not()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Wire.IsAsserted.Should().BeTrue();
        rig.Driver.EnableMsix();
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(1);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Device.LastHost!.NeedsReset("broken");
        rig.Wire.IsAsserted.Should().BeFalse();
        rig.Wire.Levels.Count(level => level).Should().Be(1);
        rig.Driver.DisableMsix();
        rig.Wire.IsAsserted.Should().BeTrue("the ISR still has the configuration bit");
        rig.Memory.Read(rig.Driver.Isr, 1).Should().Be(2);
        rig.Wire.IsAsserted.Should().BeFalse();
    }

    [Fact]
    [Trait("Behaviour", "VTP-13")]
    public void Interrupt_Disable_silences_the_line_and_not_the_status()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Driver.WriteConfig(4, 2, 0x406);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Wire.IsAsserted.Should().BeFalse();
        (rig.Driver.ReadConfig(6, 2) & 8).Should().Be(8);
        rig.Driver.WriteConfig(4, 2, 6);
        rig.Wire.IsAsserted.Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "VTP-12")]
    public void Wider_reads_over_the_ISR_do_no_harm()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        rig.Device.Rings[0]!.Interrupt.Signal();
        rig.Memory.Read(rig.Driver.Isr, 4).Should().Be(0xffffff01, "one byte is the register, nobody has the rest");
    }
}
