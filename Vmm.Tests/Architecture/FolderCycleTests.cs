using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using Vmm.DeviceModel.Bus;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Pci;
using Vmm.Vfio;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Architecture;

/// <summary>Inside an assembly folders know each other in one direction only.</summary>
public sealed class FolderCycleTests
{
    public static TheoryData<string> Assemblies => new(Loaded.Keys.Order());

    private static Dictionary<string, Assembly> Loaded => new[]
    {
        typeof(AddressSpace), typeof(PciFunction), typeof(Virtqueue), typeof(VfioException), typeof(KvmVirtualMachine), typeof(VirtualMachine),
        typeof(GuestRam),
    }.Select(static type => type.Assembly).ToDictionary(static assembly => assembly.GetName().Name!);

    [Theory]
    [MemberData(nameof(Assemblies))]
    public void Folders_know_each_other_in_one_direction(string assembly)
    {
        var graph = FolderGraph.Of(Loaded[assembly]);

        graph.Cycles().Select(cycle => $"{string.Join(", ", cycle)}:\n{graph.Describe(cycle)}").Should().BeEmpty();
    }

    [Fact]
    public void References_in_code_are_found()
    {
        var graph = FolderGraph.Of(typeof(PciFunction).Assembly);

        graph.Known("Host").Should().Contain([string.Empty, "Bars", "Interrupts"]);
        graph.Known("Diagnostics").Should().Contain("Host", "the dump walks the bus, which no signature says but its own");
        graph.Known("Spec").Should().BeEmpty();
    }

    [Fact]
    public void A_cycle_is_shown_with_one_reference_for_each_step()
    {
        var graph = FolderGraph.Of("A", ("A.X.One", "M", "A.Y.Two"), ("A.Y.Two", "N", "A.Z.Three"), ("A.Z.Three", "O", "A.X.One"), ("A.Four", "P", "A.X.One"));

        graph.Cycles().Should().ContainSingle().Which.Should().Equal("X", "Y", "Z");
        graph.Describe(["X", "Y", "Z"]).Split('\n').Should().BeEquivalentTo(
            "X -> Y: A.X.One.M refers to A.Y.Two",
            "Y -> Z: A.Y.Two.N refers to A.Z.Three",
            "Z -> X: A.Z.Three.O refers to A.X.One");
    }
}
