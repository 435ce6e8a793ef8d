using System;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Interrupts as the kernel gives them: triggers, masks, what cannot be had.</summary>
public sealed class InterruptTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private readonly EventFd[] _events = [.. Enumerable.Range(0, 4).Select(_ => new EventFd())];
    private VfioPciDevice? _device;

    public InterruptTests() => _fake = _kernel.AddController();

    private VfioPciDevice Device => _device ??= _kernel.Attach();

    public void Dispose()
    {
        _device?.Dispose();
        Array.ForEach(_events, source => source.Dispose());
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-1")]
    public void Kinds_are_counted_and_described_as_the_kernel_does()
    {
        _fake.Interrupts[(int)PciInterruptIndex.Msix]!.Flags = 1;
        _fake.Interrupts[(int)PciInterruptIndex.Error] = null;

        Device.GetInterrupt(PciInterruptIndex.Pin).Should().Be(new BackendInterrupt(1, true, true));
        Device.GetInterrupt(PciInterruptIndex.Msi).Should().Be(new BackendInterrupt(1, false, false));
        Device.GetInterrupt(PciInterruptIndex.Msix).Should().Be(new BackendInterrupt(65, true, false), "no NORESIZE: it can grow");
        Device.GetInterrupt(PciInterruptIndex.Error).Count.Should().Be(0, "the kernel refuses to tell of what a device cannot have");
        Device.GetInterrupt(PciInterruptIndex.Request).Count.Should().Be(1);
    }

    [Theory]
    [InlineData((int)PciInterruptIndex.Pin, 2u)]
    [InlineData((int)PciInterruptIndex.Msi, 33u)]
    [InlineData((int)PciInterruptIndex.Msix, 2049u)]
    [InlineData((int)PciInterruptIndex.Msix, uint.MaxValue)]
    [InlineData((int)PciInterruptIndex.Request, 2u)]
    [Trait("Behaviour", "VFIO-7")]
    public void More_than_PCI_knows_is_refused(int index, uint count)
    {
        _fake.Interrupts[index]!.Count = count;

        _kernel.Refused().Step.Should().Be("VFIO_DEVICE_GET_IRQ_INFO");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void A_kind_without_eventfds_is_as_good_as_none()
    {
        _fake.Interrupts[(int)PciInterruptIndex.Msix]!.Flags = 8;

        Device.GetInterrupt(PciInterruptIndex.Msix).Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-9")]
    public void Triggers_are_set_for_a_range_and_the_others_stay()
    {
        Device.SetTriggers(PciInterruptIndex.Msix, 0, [_events[0], null, _events[1]]);
        Device.SetTriggers(PciInterruptIndex.Msix, 1, [_events[2]]);

        _fake.Interrupts[2]!.Enabled.Should().Be(1, "it was enabled once and changed once");
        _fake.Signal(PciInterruptIndex.Msix, 0).Should().BeTrue();
        _fake.Signal(PciInterruptIndex.Msix, 1).Should().BeTrue();
        _fake.Signal(PciInterruptIndex.Msix, 2).Should().BeTrue();
        _events.Select(source => source.TryConsume(out _)).Should().Equal(true, true, true, false);
        Device.SetTriggers(PciInterruptIndex.Msix, 0, [null]);
        _fake.Signal(PciInterruptIndex.Msix, 0).Should().BeFalse();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    [Trait("Behaviour", "VFIO-9")]
    public void Growing_works_exactly_where_the_kernel_says_so(bool canGrow)
    {
        _fake.Interrupts[2]!.Flags = canGrow ? 1u : 9u;
        Device.SetTriggers(PciInterruptIndex.Msix, 0, [_events[0]]);

        Action grow = () => Device.SetTriggers(PciInterruptIndex.Msix, 1, [_events[1]]);

        Device.GetInterrupt(PciInterruptIndex.Msix).CanGrow.Should().Be(canGrow);
        if (canGrow)
        {
            grow();
            _fake.Signal(PciInterruptIndex.Msix, 1).Should().BeTrue();
        }
        else
        {
            grow.Should().Throw<VfioException>().Where(e => e.Errno == Errno.EINVAL);
        }

        _fake.Signal(PciInterruptIndex.Msix, 0).Should().BeTrue("what signalled before still does");
        _fake.Interrupts[2]!.Enabled.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void One_kind_has_to_be_disabled_before_another()
    {
        Device.SetTriggers(PciInterruptIndex.Pin, 0, [_events[0]]);

        FluentActions.Invoking(() => Device.SetTriggers(PciInterruptIndex.Msi, 0, [_events[1]]))
            .Should().Throw<VfioException>().WithMessage("*another kind*");
        _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue("the first still works");

        Device.DisableInterrupts(PciInterruptIndex.Pin);
        Device.SetTriggers(PciInterruptIndex.Msi, 0, [_events[1]]);
        _fake.Signal(PciInterruptIndex.Msi).Should().BeTrue();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void Disabling_what_is_not_enabled_asks_the_kernel_nothing()
    {
        Device.SetTriggers(PciInterruptIndex.Msix, 0, [_events[0]]);
        Device.DisableInterrupts(PciInterruptIndex.Pin);
        Device.DisableInterrupts(PciInterruptIndex.Msi);

        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(1, "the kernel would refuse to disable one kind while another is enabled");
        Device.DisableInterrupts(PciInterruptIndex.Msix);
        Device.DisableInterrupts(PciInterruptIndex.Msix);
        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(2);
        _fake.Interrupts[2]!.Triggers.Should().BeNull();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void A_refused_enabling_leaves_nothing_enabled_to_be_disabled()
    {
        _ = Device;
        _kernel.Refuse = line => line.Contains("Msix trigger", StringComparison.Ordinal) ? Errno.ENOSPC : 0;

        FluentActions.Invoking(() => Device.SetTriggers(PciInterruptIndex.Msix, 0, [_events[0]]))
            .Should().Throw<VfioException>().WithMessage("*no interrupt vectors left*");

        _kernel.Refuse = _ => 0;
        Device.DisableInterrupts(PciInterruptIndex.Msix);
        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(1);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 0)]
    [InlineData(65, 1)]
    [InlineData(64, 2)]
    [InlineData(int.MaxValue, 1)]
    public void A_range_that_the_device_has_not_is_a_mistake_of_the_caller(int start, int count)
    {
        var triggers = new EventFd?[count];

        FluentActions.Invoking(() => Device.SetTriggers(PciInterruptIndex.Msix, start, triggers)).Should().Throw<ArgumentException>();
        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void The_pin_is_masked_when_it_has_signalled_until_it_is_unmasked()
    {
        Device.SetTriggers(PciInterruptIndex.Pin, 0, [_events[0]]);
        Device.SetPinUnmask(_events[1]);

        _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
        _fake.Signal(PciInterruptIndex.Pin).Should().BeFalse("it is masked");
        Device.MaskPin(false);
        _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
        Device.MaskPin(false);
        Device.MaskPin(true);
        _fake.Signal(PciInterruptIndex.Pin).Should().BeFalse();
        _fake.PinUnmask.Should().Be(_events[1].Descriptor);
        Device.SetPinUnmask(null);
        _fake.PinUnmask.Should().Be(-1);
        _kernel.Log.Should().ContainInOrder(
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Pin trigger 0+1 events",
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Pin unmask 0+1 events",
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Pin unmask 0+1",
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Pin mask 0+1");
    }

    [Fact]
    public void A_pin_that_is_not_enabled_cannot_be_masked()
    {
        FluentActions.Invoking(() => Device.MaskPin(true)).Should().Throw<VfioException>();
        FluentActions.Invoking(() => Device.SetPinUnmask(_events[0])).Should().Throw<VfioException>();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-12")]
    public void Errors_and_requests_are_signalled_beside_the_others()
    {
        Device.SetTriggers(PciInterruptIndex.Msix, 0, [_events[0]]);
        Device.SetTriggers(PciInterruptIndex.Error, 0, [_events[1]]);
        Device.SetTriggers(PciInterruptIndex.Request, 0, [_events[2]]);

        _fake.Signal(PciInterruptIndex.Error).Should().BeTrue();
        _fake.Signal(PciInterruptIndex.Request).Should().BeTrue();
        _events.Select(source => source.TryConsume(out _)).Should().Equal(false, true, true, false);
        Device.DisableInterrupts(PciInterruptIndex.Error);
        _fake.Signal(PciInterruptIndex.Error).Should().BeFalse();
        _fake.Signal(PciInterruptIndex.Msix).Should().BeTrue();
    }

    [Fact]
    public void Giving_the_device_back_disables_every_kind_that_is_enabled()
    {
        Device.SetTriggers(PciInterruptIndex.Msi, 0, [_events[0]]);
        Device.SetTriggers(PciInterruptIndex.Request, 0, [_events[1]]);

        Device.Dispose();

        _kernel.Log.Should().ContainInOrder(
            "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Msi trigger 0+0", "VFIO_DEVICE_SET_IRQS 0000:00:10.0 Request trigger 0+0", "close 0000:00:10.0");
    }

    [Theory]
    [InlineData((int)PciInterruptIndex.Msi)]
    [InlineData((int)PciInterruptIndex.Msix)]
    [Trait("Behaviour", "VFIO-8")]
    public void Fewer_vectors_than_asked_for_are_an_answer_and_nothing_is_enabled(int index)
    {
        _fake.Interrupts[index] = new(4, 9) { Available = count => count > 2 ? 2 : 0 };

        Device.SetTriggers((PciInterruptIndex)index, 0, _events).Should().Be(2);
        _fake.Signal((PciInterruptIndex)index).Should().BeFalse();
        Device.SetTriggers((PciInterruptIndex)(3 - index), 0, [_events[0]]).Should().Be(1, "the kind was not enabled, so another one can be");
        Device.DisableInterrupts((PciInterruptIndex)(3 - index));

        Device.SetTriggers((PciInterruptIndex)index, 0, _events.AsSpan(0, 2)).Should().Be(2);
        _fake.Signal((PciInterruptIndex)index, 1).Should().BeTrue();
    }

    [Theory]
    [InlineData((int)PciInterruptIndex.Pin, 1, 1)]
    [InlineData((int)PciInterruptIndex.Error, 1, 1)]
    [InlineData((int)PciInterruptIndex.Request, 1, 7)]
    [InlineData((int)PciInterruptIndex.Msi, 4, 4)]
    [InlineData((int)PciInterruptIndex.Msix, 4, 5)]
    [Trait("Behaviour", "VFIO-8")]
    public void An_answer_that_makes_no_sense_is_a_refusal(int index, int count, int answer)
    {
        _fake.Interrupts[index] = new((uint)count, 9) { Available = _ => answer };

        FluentActions.Invoking(() => Device.SetTriggers((PciInterruptIndex)index, 0, _events.AsSpan(0, count).ToArray()))
            .Should().Throw<VfioException>()
            .WithMessage($"*{answer} are available*");
        _fake.Signal((PciInterruptIndex)index).Should().BeFalse();
    }
}
