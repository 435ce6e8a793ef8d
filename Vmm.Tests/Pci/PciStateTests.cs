using System;
using System.Globalization;
using System.Linq;
using Vmm.DeviceModel.State;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>Saving a PCI hierarchy and restoring it into another of the same make.</summary>
[Trait("Behaviour", "CON-4")]
public sealed class PciStateTests
{
    private const ulong Bar = 0xe010_0000;

    [Fact]
    public void A_hierarchy_that_was_restored_is_saved_as_the_same_bytes_and_behaves_as_the_first()
    {
        (PciRig first, PciFunction function, PciRootPort port) = Make();
        Program(first, port);
        function.Msix![1].Signal();
        string json = ComponentTree.Save(first.Bridge).ToJson();

        (PciRig second, PciFunction other, PciRootPort otherPort) = Make();
        ComponentTree.Restore(second.Bridge, ComponentState.FromJson(json));

        ComponentTree.Save(second.Bridge).ToJson().Should().Be(json);
        other.GetMappedAddress(0).Should().Be(Bar);
        otherPort.IsLinkActive.Should().BeTrue();
        other.Address.Bus.Should().Be(5);
        second.Memory.Read(Bar, 4).Should().Be(0xfee0_0000);
        second.Sink.Sent.Should().BeEmpty("the pending vector is masked");
        other.Msix![1].IsPending.Should().BeTrue();
        second.Memory.Write(Bar + 28, 4, 0);
        second.Sink.Sent.Should().ContainSingle().Which.Message.Data.Should().Be(0x42);
    }

    [Fact]
    public void Messages_are_routed_again_by_one_change()
    {
        (PciRig first, PciFunction function, PciRootPort port) = Make();
        Program(first, port);
        string json = ComponentTree.Save(first.Bridge).ToJson();
        (PciRig second, PciFunction other, _) = Make();
        other.Msix!.CreateEventFds([0, 1, 2]);
        int before = second.Routing.TableChanges;

        ComponentTree.Restore(second.Bridge, ComponentState.FromJson(json));

        (second.Routing.TableChanges - before).Should().Be(1);
    }

    [Fact]
    public void A_function_that_sleeps_is_restored_asleep()
    {
        (PciRig first, PciFunction function, PciRootPort port) = Make();
        Program(first, port);
        int power = function.Capabilities.First(capability => capability.Id == 1).Offset + 4;
        function.WriteConfiguration(power, 2, 3);
        string json = ComponentTree.Save(first.Bridge).ToJson();
        (PciRig second, PciFunction other, _) = Make();

        ComponentTree.Restore(second.Bridge, ComponentState.FromJson(json));

        ComponentTree.Save(second.Bridge).ToJson().Should().Be(json);
        other.PowerState.Should().Be(PciPowerState.D3Hot);
        other.GetMappedAddress(0).Should().BeNull();
        other.WriteConfiguration(power, 2, 0);
        other.GetMappedAddress(0).Should().Be(Bar);
    }

    public static TheoryData<string, string, string> Tampered => new()
    {
        { "\"vendorId\": 6900", "\"vendorId\": 6901", "vendorId" },
        { "\"offset\": 4,", "\"offset\": 6,", "registers.offset" },
        { "\"offset\": 4,", "\"offset\": 4096,", "registers.offset" },
        { "\"index\": 0,", "\"index\": 3,", "msix.index" },
        { "\"index\": 0,", "\"index\": -1,", "msix.index" },
        { "\"removalAsked\": false", "\"removalAsked\": 7", "removalAsked" },
    };

    [Theory]
    [MemberData(nameof(Tampered))]
    public void A_state_that_cannot_be_is_refused_and_nothing_changes(string there, string instead, string member)
    {
        (PciRig first, _, PciRootPort port) = Make();
        Program(first, port);
        string json = ComponentTree.Save(first.Bridge).ToJson();
        json.Should().Contain(there);
        (PciRig second, PciFunction other, _) = Make();
        string before = ComponentTree.Save(second.Bridge).ToJson();

        Action restore = () => ComponentTree.Restore(second.Bridge, ComponentState.FromJson(json.Replace(there, instead, StringComparison.Ordinal)));

        restore.Should().Throw<StateException>().Which.Path.Should().Contain(member);
        ComponentTree.Save(second.Bridge).ToJson().Should().Be(before);
        other.GetMappedAddress(0).Should().BeNull();
    }

    [Fact]
    public void A_slot_without_hot_plug_does_not_come_back_with_a_removal()
    {
        PciRig first = WithSoldered(out _);
        string json = ComponentTree.Save(first.Bridge).ToJson();
        json.Should().Contain("\"removalAsked\": false");
        PciRig second = WithSoldered(out PciRootPort port);
        string asked = json.Replace("\"removalAsked\": false", "\"removalAsked\": true", StringComparison.Ordinal);

        Action restore = () => ComponentTree.Restore(second.Bridge, ComponentState.FromJson(asked));

        restore.Should().Throw<StateException>().Which.Path.Should().Contain("removalAsked");
        port.IsOccupied.Should().BeTrue();
        ComponentTree.Save(second.Bridge).ToJson().Should().Be(json);
    }

    [Fact]
    public void A_bit_that_nobody_can_change_is_not_restored()
    {
        (PciRig rig, PciFunction function, _) = Make();
        ComponentState saved = ComponentTree.Save(rig.Bridge);
        string json = saved.ToJson();

        foreach (int offset in Enumerable.Range(0, 16).Select(static i => i * 4))
        {
            uint fixedBits = ~(function.ConfigurationSpace.WritableBits(offset) | function.ConfigurationSpace.WriteOneToClearBits(offset));
            uint value = function.ConfigurationSpace.ReadRegister(offset) ^ (1u << BitOf(fixedBits & ~(1u << 19)));
            string registers = string.Create(CultureInfo.InvariantCulture, $"\"registers\": [{{\"offset\": {offset}, \"value\": {value}}}]");
            string changed = ReplaceRegisters(json, registers);
            Action restore = () => ComponentTree.Restore(rig.Bridge, ComponentState.FromJson(changed));

            restore.Should().Throw<StateException>().Which.Path.Should().Contain("registers");
        }
    }

    [Fact]
    [Trait("Behaviour", "CON-6")]
    public void Everything_can_be_looked_at_without_a_side_effect()
    {
        (PciRig rig, PciFunction function, PciRootPort port) = Make();
        Program(rig, port);
        string before = ComponentTree.Save(rig.Bridge).ToJson();

        InspectionNode node = ComponentTree.Inspect(rig.Bridge);

        InspectionNode found = node.Parts.Single(part => part.TextOf("name") == port.Name).Parts.Single(part => part.TextOf("name") == function.Name);
        found.Find("bar0")!.TextOf("address").Should().Be("0x00000000e0100000");
        found.Find("msix")!.TextOf("enabled").Should().Be("yes");
        found.Find("msix")!.Find("vector1")!.TextOf("data").Should().Be("0x00000042");
        ComponentTree.Save(rig.Bridge).ToJson().Should().Be(before);
    }

    private static PciRig WithSoldered(out PciRootPort port)
    {
        var rig = new PciRig();
        port = new PciRootPort(new PciRootPortOptions { Name = "port1", SlotNumber = 1, HotPlug = false });
        rig.Bridge.Root.Add(port, 2);
        port.Secondary.Add(new PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "edu" }), 0);
        return rig;
    }

    private static (PciRig Rig, PciFunction Function, PciRootPort Port) Make()
    {
        var rig = new PciRig(new PciWindow(Vmm.DeviceModel.Bus.AddressSpaceKind.Memory, 0xe000_0000, 0x1000_0000));
        var port = new PciRootPort(new PciRootPortOptions { Name = "port1", SlotNumber = 1 });
        rig.Bridge.Root.Add(port, 2);
        var function = new PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "edu" });
        var msix = new MsixCapability(3, 0, 0, 0, 0x800);
        function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msix);
        function.AddCapability(new PowerManagementCapability(noSoftReset: true));
        port.Secondary.Add(function, 0);
        return (rig, function, port);
    }

    /// <summary>Bus 5 behind the port, the BAR decoding, MSI-X enabled with vector 0 open and vector 1 masked.</summary>
    private static void Program(PciRig rig, PciRootPort port)
    {
        PciAddress at = port.Address;
        void Port(int offset, int width, uint value) => rig.Memory.Write(PciRig.Ecam + ((ulong)at.DeviceFunction << 12) + (ulong)offset, width, value);
        void Function(int offset, int width, uint value) => rig.Memory.Write(PciRig.Ecam + (5UL << 20) + (ulong)offset, width, value);
        Port(0x18, 4, 0x0005_0500);
        Port(0x20, 4, 0xe010_e010);
        Port(4, 2, 7);
        Function(0x10, 4, (uint)Bar);
        Function(4, 2, 6);
        int msix = rig.Bridge.Find(new PciAddress(5, 0, 0))!.Msix!.Offset;
        rig.Memory.Write(Bar, 4, 0xfee0_0000);
        rig.Memory.Write(Bar + 8, 4, 0x41);
        rig.Memory.Write(Bar + 12, 4, 0);
        rig.Memory.Write(Bar + 16, 4, 0xfee0_0000);
        rig.Memory.Write(Bar + 24, 4, 0x42);
        Function(msix + 2, 2, 0x8000);
    }

    private static int BitOf(uint bits) => System.Numerics.BitOperations.TrailingZeroCount(bits);

    private static string ReplaceRegisters(string json, string registers)
    {
        // The function's own state is the last one that has registers.
        int start = json.LastIndexOf("\"registers\"", StringComparison.Ordinal);
        int end = json.IndexOf(']', start);
        return json[..start] + registers + json[(end + 1)..];
    }
}
