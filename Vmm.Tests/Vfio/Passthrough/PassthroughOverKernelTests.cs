using System;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>A passed-through function over the kernel's rules: what it asks for, and that nothing of it is left.</summary>
[Trait("Behaviour", "VFIO-14")]
public sealed class PassthroughOverKernelTests
{
    [Fact]
    [Trait("Behaviour", "VFIO-8")]
    [Trait("Behaviour", "VFIO-9")]
    [Trait("Behaviour", "VFIO-10")]
    public void Pin_messages_reset_and_removal_go_by_the_kernels_rules()
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        Describe(fake);
        var memory = new GuestMemory();
        memory.Add(0, HostMemory.AllocateAnonymous(0x10_0000), 0, 0x10_0000);
        var function = PassthroughFunction.Attach(new VfioHost(kernel, memory).Attach(fake.Path));
        var rig = new PciRig();
        rig.Add(function);
        kernel.Mappings.Should().Be(1);
        (fake.Command & 6).Should().Be(2, "it decodes, and masters nothing");

        rig.Write(0x10, 4, (uint)VfioRig.Bar0);
        rig.Write(4, 2, 6);
        fake.Command.Should().Be(6);
        rig.Slots.Mapped.Select(slot => (slot.Key, slot.Value.Length)).Should().Equal((VfioRig.Bar0, 0x2000ul));
        function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
        fake.PinUnmask.Should().Be(rig.Lines.Connections.Single().Resample.Descriptor);
        fake.Signal(PciInterruptIndex.Pin).Should().BeTrue();
        rig.Lines.Connections.Single().Source.TryConsume(out _).Should().BeTrue();

        rig.Write(0x72, 2, 0x8000);
        for (int vector = 0; vector < 3; vector++)
        {
            rig.Memory.Write(VfioRig.Bar0 + 0x2000 + (ulong)(vector * 16), 8, 0xfee0_0000);
            rig.Memory.Write(VfioRig.Bar0 + 0x2008 + (ulong)(vector * 16), 4, (uint)(0x40 + vector));
            rig.Memory.Write(VfioRig.Bar0 + 0x200c + (ulong)(vector * 16), 4, 0);
        }

        function.SignallingVectors.Should().Be(3);
        fake.Interrupts[(int)PciInterruptIndex.Msix]!.Triggers.Should().HaveCount(3);
        fake.Signal(PciInterruptIndex.Msix, 2).Should().BeTrue();
        rig.Write(0x72, 2, 0);
        rig.Write(0x52, 2, 1);
        function.InterruptMode.Should().Be(PassthroughInterruptMode.Msi);
        function.FailedInterrupts.Should().Be(0);

        int resets = fake.Resets;
        rig.Write(0x88, 2, 0x8000);
        fake.Resets.Should().Be(resets + 1);
        fake.Interrupts.Take(3).Should().OnlyContain(interrupt => interrupt!.Triggers == null);
        (fake.Command & 6).Should().Be(2);

        rig.Bridge.Root.Remove(function);
        function.Dispose();
        kernel.ShouldHoldNothing();
    }

    [Theory]
    [InlineData("mmap")]
    [InlineData("VFIO_DEVICE_SET_IRQS")]
    [Trait("Behaviour", "VFIO-5")]
    public void What_the_kernel_refuses_is_done_without(string call)
    {
        var kernel = new FakeVfioKernel();
        FakeVfioDevice fake = kernel.AddController();
        Describe(fake);
        kernel.Refuse = line => line.StartsWith(call, StringComparison.Ordinal) ? 22 : 0;
        var function = PassthroughFunction.Attach(new VfioHost(kernel).Attach(fake.Path));
        var rig = new PciRig();
        rig.Add(function);
        rig.Write(0x10, 4, (uint)VfioRig.Bar0);
        rig.Write(4, 2, 6);
        fake.Regions[0].Bytes[0x10] = 0x77;
        rig.Memory.Read(VfioRig.Bar0 + 0x10, 1).Should().Be(0x77);
        function.InterruptMode.Should().Be(call == "mmap" ? PassthroughInterruptMode.Pin : PassthroughInterruptMode.None);
        rig.Bridge.Root.Remove(function);
        function.Dispose();
        kernel.ShouldHoldNothing();
    }

    /// <summary>Registers as those of <see cref="VfioRig.Card"/>.</summary>
    private static void Describe(FakeVfioDevice fake)
    {
        fake.Configuration.Size = 4096;
        MemoryExtensions.CopyTo(VfioRig.Card(vectors: 65).Configuration, fake.Configuration.Bytes);
    }
}
