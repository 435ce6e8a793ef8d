using System;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>A host with fewer interrupt vectors than the guest wants: what it gives works, the rest is silent, and what worked goes on.</summary>
[Trait("Behaviour", "VFIO-8")]
[Trait("Behaviour", "VFIO-9")]
public sealed class FewerVectorsTests : IDisposable
{
    private const int Vectors = 8;

    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private readonly PciRig _rig = new();
    private readonly ListLogger _log = new();
    private PassthroughFunction? _function;

    public FewerVectorsTests()
    {
        _fake = _kernel.AddController();
        _fake.Configuration.Size = 4096;
        VfioRig.Card(Vectors).Configuration.CopyTo(_fake.Configuration.Bytes);
        Kind(PciInterruptIndex.Msi).Count = 4;
        Kind(PciInterruptIndex.Msix).Count = Vectors;
    }

    public void Dispose()
    {
        _rig.Bridge.Root.Remove(_function!);
        _function!.Dispose();
        _kernel.ShouldHoldNothing();
    }

    [Theory]
    [InlineData(2, 1, 1)]
    [InlineData(2, 2, 2)]
    [InlineData(2, 3, 2)]
    [InlineData(1, 1, 1)]
    public void Messages_work_as_far_as_the_host_gives_them(int enable, int available, int works)
    {
        Kind(PciInterruptIndex.Msi).Available = count => count > available ? available : 0;
        Attach();

        _rig.Write(0x52, 2, (uint)(enable << 4) | 1);

        _function!.InterruptMode.Should().Be(PassthroughInterruptMode.Msi);
        _function.SignallingVectors.Should().Be(works);
        _function.FailedInterrupts.Should().Be(1);
        Kind(PciInterruptIndex.Msi).Triggers.Should().HaveCount(works, "a device takes a power of two of messages");
        Enumerable.Range(0, works).Should().OnlyContain(message => _fake.Signal(PciInterruptIndex.Msi, message));
        _rig.Read(0x52, 2).Should().Be((uint)(0x184 | (enable << 4) | 1), "what the guest wrote is not changed behind its back");
        _log.Entries.Should().ContainSingle(entry => entry.Text.Contains("stay silent", StringComparison.Ordinal));

        _rig.Write(0x52, 2, 0);
        _function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
        _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Enlarging_msix_keeps_what_worked(int available)
    {
        Kind(PciInterruptIndex.Msix).Available = count => count > available ? available : 0;
        Attach();
        _rig.Write(0x72, 2, 0x8000);

        for (int vector = 0; vector < Vectors; vector++)
        {
            Unmask(vector);
            int works = Math.Min(vector + 1, available);
            _function!.SignallingVectors.Should().Be(works);
            Enumerable.Range(0, works).Should().OnlyContain(given => _fake.Signal(PciInterruptIndex.Msix, given));
        }

        _function!.FailedInterrupts.Should().Be(1);
        _log.Entries.Should().ContainSingle(entry => entry.Text.Contains("stay silent", StringComparison.Ordinal));
        int asked = _kernel.CountOf("VFIO_DEVICE_SET_IRQS");
        for (int round = 0; round < 10; round++)
        {
            Mask(Vectors - 1);
            Unmask(Vectors - 1);
        }

        _kernel.CountOf("VFIO_DEVICE_SET_IRQS").Should().Be(asked, "what the host has not got is not asked for again and again");
    }

    [Fact]
    public void Enabling_msix_with_all_vectors_unmasked_gives_the_first_ones()
    {
        Kind(PciInterruptIndex.Msix).Available = count => count > 5 ? 5 : 0;
        Attach();
        _rig.Write(0x72, 2, 0xc000);
        for (int vector = 0; vector < Vectors; vector++)
        {
            Unmask(vector);
        }

        _rig.Write(0x72, 2, 0x8000);

        _function!.InterruptMode.Should().Be(PassthroughInterruptMode.Msix);
        _function.SignallingVectors.Should().Be(5);
        Kind(PciInterruptIndex.Msix).Triggers!.Count(trigger => trigger >= 0).Should().Be(5);
        _function.FailedInterrupts.Should().Be(1);
    }

    [Fact]
    public void A_host_that_gives_more_later_is_asked_again_when_the_guest_enables_anew()
    {
        Kind(PciInterruptIndex.Msix).Available = count => count > 1 ? 1 : 0;
        Attach();
        _rig.Write(0x72, 2, 0x8000);
        Unmask(0);
        Unmask(1);
        _function!.SignallingVectors.Should().Be(1);
        Kind(PciInterruptIndex.Msix).Available = null;

        _rig.Write(0x72, 2, 0);
        _rig.Write(0x72, 2, 0x8000);

        _function.SignallingVectors.Should().Be(2);
    }

    [Fact]
    public void A_kernel_that_contradicts_itself_leaves_the_mode_before()
    {
        Kind(PciInterruptIndex.Msix).Available = count => (int)count;
        Attach();
        _rig.Write(4, 2, 6);
        _function!.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);

        _rig.Write(0x72, 2, 0x8000);

        _function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
        (_rig.Read(0x72, 2) & 0x8000).Should().Be(0);
        _fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
    }

    [Theory]
    [InlineData((int)PciInterruptIndex.Pin)]
    [InlineData((int)PciInterruptIndex.Error)]
    [InlineData((int)PciInterruptIndex.Request)]
    public void Of_a_kind_that_has_one_interrupt_a_number_is_a_refusal(int index)
    {
        _fake.Interrupts[index]!.Available = _ => 1;
        Attach();
        _rig.Write(4, 2, 6);

        _fake.Interrupts[index]!.Triggers.Should().BeNull();
        _function!.InterruptMode.Should().Be(index == 0 ? PassthroughInterruptMode.None : PassthroughInterruptMode.Pin);
        _log.Entries.Should().Contain(entry => entry.Text.Contains(index == 0 ? "cannot be switched" : "is not watched", StringComparison.Ordinal));
    }

    private FakeVfioInterrupt Kind(PciInterruptIndex index) => _fake.Interrupts[(int)index]!;

    private void Attach()
    {
        _function = PassthroughFunction.Attach(new VfioHost(_kernel).Attach(_fake.Path), new PassthroughFunctionOptions { LoggerFactory = _log });
        _rig.Add(_function);
        _rig.Write(0x10, 4, (uint)VfioRig.Bar0);
        _rig.Write(4, 2, 6);
    }

    private void Unmask(int vector)
    {
        ulong entry = VfioRig.Bar0 + 0x2000 + (ulong)(vector * 16);
        _rig.Memory.Write(entry, 8, 0xfee0_0000);
        _rig.Memory.Write(entry + 8, 4, (uint)(0x40 + vector));
        _rig.Memory.Write(entry + 12, 4, 0);
    }

    private void Mask(int vector) => _rig.Memory.Write(VfioRig.Bar0 + 0x200c + (ulong)(vector * 16), 4, 1);
}
