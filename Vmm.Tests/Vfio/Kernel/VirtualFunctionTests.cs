using System;
using System.Linq;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Tests.Vfio.Passthrough;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>Virtual functions of SR-IOV: no ids of their own, no pin, no I/O, and memory that decodes whatever the command register says.</summary>
public sealed class VirtualFunctionTests : IDisposable
{
    private const ulong Bar0 = 0xc000_0000;

    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private readonly PciRig _rig = new();
    private PassthroughFunction? _function;

    public VirtualFunctionTests()
    {
        _fake = _kernel.AddController("0000:01:10.0");
        _fake.VirtualOf = "0000:01:00.0";
        _fake.Ids = (0x8086, 0x10ca);
        VfioRig.Card(vectors: 65).Configuration.CopyTo(_fake.Configuration.Bytes);
        Set(0, 0xff, 0xff, 0xff, 0xff);
    }

    public void Dispose()
    {
        if (_function is not null)
        {
            _rig.Bridge.Root.Remove(_function);
            _function.Dispose();
        }

        _kernel.ShouldHoldNothing();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Its_ids_are_what_the_host_has_from_the_physical_function()
    {
        Attach();

        _rig.Read(0, 4).Should().Be(0x10ca_8086);
        _rig.Write(0, 4, 0);
        _rig.Read(0, 4).Should().Be(0x10ca_8086);
        _function!.Layout.Identity.DeviceId.Should().Be(0x10ca);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void Ids_that_the_kernel_shows_in_configuration_space_stand()
    {
        Set(0, 0x86, 0x80, 0x20, 0x15);
        Attach();

        _rig.Read(0, 4).Should().Be(0x1520_8086);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-6")]
    public void The_guest_switches_decoding_as_of_any_device()
    {
        Attach();
        _rig.Write(0x10, 4, (uint)Bar0);
        _fake.Regions[0].Bytes[0x2800] = 0x5a;

        _rig.Read(4, 2).Should().Be(0);
        _rig.Memory.Read(Bar0 + 0x2800, 1).Should().Be(0xff);
        _rig.Write(4, 2, 6);
        _rig.Read(4, 2).Should().Be(6, "the guest reads what it wrote, the function's own bit is 0 for ever");
        _fake.Command.Should().Be(4);
        _rig.Memory.Read(Bar0 + 0x2800, 1).Should().Be(0x5a);
        _rig.Write(4, 2, 4);
        _rig.Read(4, 2).Should().Be(4);
        _rig.Memory.Read(Bar0 + 0x2800, 1).Should().Be(0xff);
        _rig.Slots.Mapped.Should().BeEmpty();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    public void It_has_no_pin_whatever_the_register_says()
    {
        Attach();
        _rig.Write(4, 2, 6);

        _rig.Read(0x3d, 1).Should().Be(0);
        _function!.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        _rig.Lines.Connections.Should().BeEmpty();
        _rig.Write(0x72, 2, 0x8000);
        _function.InterruptMode.Should().Be(PassthroughInterruptMode.Msix);
        _function.FailedInterrupts.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void Io_that_it_cannot_have_is_left_out_and_said()
    {
        Set(0x18, 1, 0, 0, 0);
        _fake.Regions[2].Size = 0x20;
        Attach();

        _function!.Bars.Select(bar => bar.Index).Should().Equal(0);
        _function.Layout.Remarks.Should().ContainSingle().Which.Should().Contain("BAR 2");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void A_device_without_ids_that_is_no_virtual_function_is_gone()
    {
        _fake.VirtualOf = null;
        using VfioPciDevice device = _kernel.Attach();

        FluentActions.Invoking(() => PassthroughFunction.Attach(device)).Should().Throw<Vmm.Vfio.VfioException>().WithMessage("*no vendor ID*");
    }

    private void Set(int offset, params byte[] bytes) => bytes.CopyTo(_fake.Configuration.Bytes[offset..]);

    private void Attach()
    {
        _function = PassthroughFunction.Attach(new VfioHost(_kernel).Attach(_fake.Path));
        _rig.Add(_function);
    }
}
