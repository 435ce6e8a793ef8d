using System;
using System.Linq;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Pci.Bridges;
using Vmm.Tests.Fakes;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Tests.Vfio.Passthrough;
using Vmm.Vfio.Kernel;

namespace Vmm.Tests.Machine;

/// <summary>The host's devices of a machine, over a fake kernel and hypervisor.</summary>
public sealed class MachineHostDevicesTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new() { HasIommufd = true };
    private readonly RecordingHostDeviceFiles _hypervisor;
    private readonly MachineRig _rig;

    public MachineHostDevicesTests()
    {
        _hypervisor = new RecordingHostDeviceFiles(_kernel);
        var kind = new HostDeviceKind(context => new VfioHost(_kernel, context.Memory, context.Hypervisor!.HostDeviceFiles));
        _rig = new MachineRig(
            MachineRig.Options with
            {
                Catalogue = new DeviceCatalogue(kind),
                RootPorts = [new PciRootPortOptions { Name = "a", SlotNumber = 1 }, new PciRootPortOptions { Name = "b", SlotNumber = 2 }],
            },
            new RecordingHypervisor { HostDeviceFiles = _hypervisor });
        for (int i = 0; i < 2; i++)
        {
            FakeVfioDevice fake = _kernel.AddController($"0000:0{i + 1}:00.0", 5 + i);
            VfioRig.Card(vectors: 65).Configuration.CopyTo(fake.Configuration.Bytes);
        }
    }

    public void Dispose()
    {
        _rig.Dispose();
        _hypervisor.Count.Should().Be(0);
        _kernel.ShouldHoldNothing();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-1")]
    public void Each_goes_the_way_that_was_asked_for_and_the_hypervisor_is_told()
    {
        Add(0);
        Add(1, iommufd: true);

        _kernel.Log.Where(line => line.StartsWith("hypervisor", StringComparison.Ordinal)).Should().Equal(
            "hypervisor add /dev/vfio/5", "hypervisor add /dev/vfio/devices/vfio1");
        _rig.Devices.Devices.Select(device => device.Id).Should().Equal("0000:01:00.0", "0000:02:00.0");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void Members_of_a_clique_are_mapped_for_each_other()
    {
        Add(0, clique: 1);
        Add(1, clique: 1);
        MachineGuest[] guests = [_rig.Guest(0), _rig.Guest(1)];
        foreach (MachineGuest guest in guests)
        {
            guest.PowerOn();
        }

        _kernel.Spaces.Should().ContainSingle().Which.Mappings.Keys.Should().Equal(
            [0, .. _rig.Devices.Slots.Ports.Select(port => port.MemoryWindow.Base)], "RAM, and a BAR of each");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void Members_of_a_clique_that_share_no_address_space_are_refused()
    {
        _kernel.CanMerge = _ => false;
        Add(0, clique: 1);

        FluentActions.Invoking(() => Add(1, clique: 1))
            .Should().Throw<MachineException>().WithMessage("*x_nv_gpudirect_clique=1*0000:01:00.0*of their own*");

        _rig.Devices.Devices.Should().ContainSingle();
        Add(1, clique: 2);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void A_clique_by_iommufd_is_refused()
    {
        FluentActions.Invoking(() => Add(0, clique: 1, iommufd: true))
            .Should().Throw<MachineException>().WithMessage("*x_nv_gpudirect_clique*iommufd cannot map*");
    }

    private void Add(int index, int? clique = null, bool iommufd = false)
    {
        _rig.Devices.HotAdd(new HostDeviceOptions(_kernel.Devices[index].Path) { GpuDirectClique = clique, Iommufd = iommufd }, null);
    }
}
