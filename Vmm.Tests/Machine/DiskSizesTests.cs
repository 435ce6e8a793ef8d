using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Host;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Machine;

/// <summary>Disks of a machine get another size by their names.</summary>
[Trait("Behaviour", "IO-6")]
public sealed class DiskSizesTests
{
    [Fact]
    public void A_disk_is_found_by_its_id_and_so_is_why_it_cannot_be_resized()
    {
        using var file = new TemporaryFile(1 << 20);
        using var other = new TemporaryFile(1 << 20);
        using var rig = new MachineRig(MachineRig.Options with
        {
            Devices = [new DiskOptions(file.Path) { Id = "root" }, new DiskOptions(other.Path, ReadOnly: true), new EntropyOptions()],
        });
        IReadOnlyList<MachineDevice> devices = rig.Devices.Devices;

        DiskSizes.Change(devices, "root", 3 << 20);

        new FileInfo(file.Path).Length.Should().Be(3 << 20);
        devices.Select(static device => device.Function).OfType<VirtioPciFunction>().Select(static function => function.Device).OfType<BlockDevice>()
            .Select(static disk => disk.Capacity).Should().Equal(3 << 20, 1 << 20);
        Change("absent", 512).Should().Throw<ArgumentException>().WithMessage("*no device absent*");
        Change("rng", 512).Should().Throw<ArgumentException>().WithMessage("rng is not a disk*");
        Change("root", 513).Should().Throw<ArgumentException>().WithMessage("*513*");
        Change("disk1", 512).Should().Throw<MachineException>().WithMessage("disk disk1: *read-only*");
        new FileInfo(other.Path).Length.Should().Be(1 << 20);

        Action Change(string id, long size) => () => DiskSizes.Change(devices, id, size);
    }
}
