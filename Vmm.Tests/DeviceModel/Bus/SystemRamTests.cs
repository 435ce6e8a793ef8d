using System;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;

namespace Vmm.Tests.DeviceModel.Bus;

/// <summary>RAM is there for processors and devices, or for neither.</summary>
public sealed class SystemRamTests
{
    [Fact]
    [Trait("Behaviour", "MEM-4")]
    public void A_removal_that_is_refused_leaves_it_as_it_is()
    {
        using var host = HostMemory.AllocateAnonymous(0x10000);
        var space = new AddressSpace(new AddressSpaceOptions { Name = "memory" });
        using var ram = new SystemRam(space);
        GuestMemoryRegion region = ram.Add(0, host);
        Action inside = () =>
        {
            using (ram.Memory.Domain.Enter())
            {
                ram.Remove(region);
            }
        };

        inside.Should().Throw<InvalidOperationException>();
        space.Read(0, 4).Should().Be(0, "the processors still have it");
        ram.Remove(region);
        space.Segments.Should().BeEmpty();
    }
}
