using System;
using System.Linq;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Memory;
using Vmm.Machine;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Tests.Vfio.Kernel;
using Vmm.Tests.Vfio.Passthrough;
using Vmm.Vfio.Kernel;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Machine;

/// <summary>The host's devices of a machine, over a fake kernel and hypervisor.</summary>
public sealed class MachineHostDevicesTests : IDisposable
{
    private readonly FakeVfioKernel _kernel = new() { HasIommufd = true };
    private readonly RecordingHostDeviceFiles _hypervisor;
    private readonly MachineHostDevices _devices;
    private readonly PciRig _rig = new();

    public MachineHostDevicesTests()
    {
        _hypervisor = new RecordingHostDeviceFiles(_kernel);
        _devices = new MachineHostDevices(new VfioHost(_kernel, new GuestMemory(), _hypervisor), static _ => { }, null, NullLogger.Instance);
        for (int i = 0; i < 2; i++)
        {
            FakeVfioDevice fake = _kernel.AddController($"0000:0{i + 1}:00.0", 5 + i);
            VfioRig.Card(vectors: 65).Configuration.CopyTo(fake.Configuration.Bytes);
        }
    }

    public void Dispose()
    {
        _devices.Dispose();
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
        _devices.Functions.Should().HaveCount(2);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void Members_of_a_clique_are_mapped_for_each_other()
    {
        Add(0, clique: 1);
        Add(1, clique: 1);
        foreach (PassthroughFunction function in _devices.Functions)
        {
            int slot = function.Address.Device;
            _rig.Write(0x10, 4, 0xc000_0000 + ((uint)slot << 20), slot);
            _rig.Write(4, 2, 6, slot);
        }

        _kernel.Spaces.Should().ContainSingle().Which.Mappings.Keys.Should().Equal(0xc030_0000, 0xc040_0000);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-11")]
    public void Members_of_a_clique_that_share_no_address_space_are_refused()
    {
        _kernel.CanMerge = _ => false;
        Add(0, clique: 1);

        FluentActions.Invoking(() => Add(1, clique: 1))
            .Should().Throw<MachineException>().WithMessage("*x_nv_gpudirect_clique=1*0000:01:00.0*of their own*");

        _devices.Functions.Should().ContainSingle();
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
        _devices.Add(new HostDeviceOptions(_kernel.Devices[index].Path) { GpuDirectClique = clique, Iommufd = iommufd }, _rig.Bridge.Root, 3 + index);
    }
}
