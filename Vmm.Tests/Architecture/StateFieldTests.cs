using System;
using System.Collections.Generic;
using System.Linq;
using System.Reflection;
using Vmm.DeviceModel.State;
using Vmm.Kvm;
using Vmm.Machine;
using Vmm.Pci;
using Vmm.Vfio;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Architecture;

/// <summary>
/// Each field that can change, of a type that holds state which a guest can see, is saved or has a reason why not. A field that is added is in neither
/// list, and fails here.
/// </summary>
/// <remarks>Fields that are set at construction and never again are left out, but for arrays and collections, whose elements change.</remarks>
[Trait("Behaviour", "CON-4")]
public sealed class StateFieldTests
{
    private const string Saved = "saved";
    private const string Built = "made with the component, the same in one of the same make";
    private const string Followed = "follows from what is saved, when that is restored";
    private const string NotSaved = "a device of the host: saving it is refused";
    private const string Host = "of this process and its host";
    private const string Counter = "a counter of this process, which the guest does not see";
    private const string Life = "where the object is in its life; one that is saved or restored is in use";

    private static readonly Dictionary<string, Dictionary<string, string>> Fields = new()
    {
        ["Vmm.Pci.PciFunction"] = new()
        {
            ["_writeHooks"] = Built,
            ["_readHooks"] = Built,
            ["<Description>k__BackingField"] = Built,
            ["<Address>k__BackingField"] = "the place is compared by the component's name",
            ["_bus"] = Built,
            ["_sealed"] = Life,
            ["_leaving"] = Life,
            ["_disposed"] = Life,
        },
        ["Vmm.Pci.ConfigSpace.PciConfigurationSpace"] = new()
        {
            ["_image"] = Saved,
            ["_powerOn"] = Built,
            ["_writable"] = Built,
            ["_writeOneToClear"] = Built,
            ["_deviceBits"] = Built,
        },
        ["Vmm.Pci.ConfigSpace.BusMastering"] = new() { ["_isAllowed"] = Followed },
        ["Vmm.Pci.Interrupts.IntxPin"] = new() { ["_wire"] = Host, ["_asserted"] = Saved, ["_driven"] = Followed },
        ["Vmm.Pci.Host.ConfigurationPorts"] = new() { ["_address"] = Saved },
        ["Vmm.Pci.Host.PciHostBridge"] = new() { ["_claims"] = Built, ["_disposed"] = Life },
        ["Vmm.Pci.Host.PciBridge"] = [],
        ["Vmm.Pci.Bridges.PciRootPort"] = new() { ["_removal"] = Saved, ["_linkUp"] = Followed, ["RemovalRestored"] = Built },
        ["Vmm.Pci.Bridges.SlotComponent"] = [],
        ["Vmm.Pci.Bars.BarMapper"] = new()
        {
            ["_mappings"] = Built,
            ["_self"] = Built,
            ["_route"] = Built,
            ["_failures"] = Counter,
        },
        ["Vmm.Pci.Bars.BarMapping"] = new()
        {
            ["_doorbells"] = Followed,
            ["_current"] = Followed,
            ["_claims"] = Followed,
            ["_blocking"] = Followed,
            ["_failedAt"] = Host,
            ["_mappedAt"] = Followed,
            ["_mapped"] = Followed,
            ["<Target>k__BackingField"] = Followed,
        },
        ["Vmm.Pci.Capabilities.MessageCapability"] = new()
        {
            ["_routing"] = Host,
            ["_refusedRoutes"] = Counter,
            ["<Sink>k__BackingField"] = Host,
            ["<RequesterId>k__BackingField"] = Followed,
        },
        ["Vmm.Pci.Capabilities.MessageVector"] = new()
        {
            ["_held"] = "a lock",
            ["_effective"] = Followed,
            ["_pending"] = Saved,
            ["_masked"] = Saved,
            ["_keeps"] = Followed,
            ["_address"] = Saved,
            ["_data"] = Saved,
            ["_own"] = Host,
            ["_sources"] = Host,
            ["_sent"] = Counter,
            ["_unaccepted"] = Counter,
        },
        ["Vmm.Pci.Capabilities.MsixVector"] = [],
        ["Vmm.Pci.Capabilities.MsiVector"] = [],
        ["Vmm.Pci.Capabilities.MsixCapability"] = new() { ["_vectors"] = Built, ["<VectorsWritten>k__BackingField"] = Built },
        ["Vmm.Pci.Capabilities.MsiCapability"] = new() { ["_vectors"] = Built, ["_enabledCount"] = Saved },
        ["Vmm.Virtio.Transport.VirtioPciFunction"] = new() { ["ActivationChanged"] = "who listens" },
        ["Vmm.Virtio.Transport.TransportStates"] = [],
        ["Vmm.Virtio.Transport.IsrRegister"] = new() { ["_value"] = Saved },
        ["Vmm.Virtio.Transport.StatusRegister"] = new() { ["_value"] = Saved },
        ["Vmm.Virtio.Transport.FeatureNegotiation"] = new()
        {
            ["_acknowledgedLow"] = Saved,
            ["_acknowledgedHigh"] = Saved,
            ["_negotiated"] = Saved,
            ["_deviceBank"] = Saved,
            ["<DriverSelect>k__BackingField"] = Saved,
        },
        ["Vmm.Virtio.Transport.ConfigurationGeneration"] = new() { ["_seen"] = Saved },
        ["Vmm.Virtio.Transport.DeviceAnnouncements"] = new()
        {
            ["_notedChanges"] = "a part of the change count, of which only that it moved is saved",
            ["_announcedVersion"] = "as the change count",
        },
        ["Vmm.Virtio.Transport.DeviceLifeCycle"] = new()
        {
            ["_featuresTold"] = Followed,
            ["_active"] = Saved,
            ["_activation"] = Followed,
            ["_paused"] = "true of what is saved and restored",
            ["<ActivationChanged>k__BackingField"] = "who listens",
            ["_disposed"] = Life,
        },
        ["Vmm.Virtio.Transport.TransportQueues"] = new() { ["_queues"] = Saved, ["_resets"] = Counter, ["<Select>k__BackingField"] = Saved },
        ["Vmm.Virtio.Transport.QueueRegisters"] = new()
        {
            ["_size"] = Saved,
            ["_vector"] = Saved,
            ["_enabled"] = Saved,
            ["_resetting"] = "done before the access that asks for it returns",
            ["_kick"] = Host,
            ["Descriptors"] = Saved,
            ["Driver"] = Saved,
            ["Device"] = Saved,
            ["<IsRunning>k__BackingField"] = "false of what is paused",
            ["<Place>k__BackingField"] = Saved,
        },
        ["Vmm.Virtio.Transport.VirtioPciHost"] = new() { ["_doorbells"] = Followed, ["_configurationVector"] = Saved },
        ["Vmm.Virtio.Transport.VirtioPciQueueInterrupt"] = new() { ["_vector"] = Followed, ["_source"] = Host, ["_open"] = Followed },
        ["Vmm.Virtio.Queues.Virtqueue"] = new()
        {
            ["_indirectCopy"] = "a buffer",
            ["_brokenReason"] = "NEEDS_RESET says it, and no queue starts under that",
            ["_inFlight"] = "nothing is in flight of what is paused",
            ["<KeptCount>k__BackingField"] = "nothing is in flight of what is paused",
        },
        ["Vmm.Virtio.Queues.SplitVirtqueue"] = new()
        {
            ["_descriptors"] = Followed,
            ["_available"] = Followed,
            ["_used"] = Followed,
            ["_nextAvailable"] = Saved,
            ["_knownAvailable"] = Followed,
            ["_nextUsed"] = Saved,
            ["_signalledUsed"] = "the first look signals",
            ["_signalledUnknown"] = "true after a restore",
            ["_forgotten"] = "nothing is in flight of what is paused",
            ["_asksByFlag"] = Followed,
            ["_fence"] = "written for its effect on the order, and never read",
        },
        ["Vmm.Virtio.Queues.PackedVirtqueue"] = new()
        {
            ["_descriptors"] = Followed,
            ["_driverEvent"] = Followed,
            ["_deviceEvent"] = Followed,
            ["_nextAvailable"] = Saved,
            ["_availableWrap"] = Saved,
            ["_nextUsed"] = Saved,
            ["_usedWrap"] = Saved,
            ["_taken"] = Followed,
            ["_forgotten"] = "nothing is in flight of what is paused",
            ["_unsignalled"] = "the first look signals",
            ["_signalledUnknown"] = "true after a restore",
            ["_kicksDisabled"] = Followed,
            ["_fence"] = "written for its effect on the order, and never read",
        },
        ["Vmm.Virtio.Devices.VirtioDevice"] = new()
        {
            ["_disposed"] = Life,
            ["_configurationVersion"] = "a change count, of which only that it moved is saved",
        },
        ["Vmm.Virtio.Devices.WorkerDevice"] = new()
        {
            ["_handlers"] = Followed,
            ["_rings"] = Followed,
            ["_queueSizes"] = Built,
            ["_workers"] = Host,
            ["_host"] = Followed,
            ["_features"] = Followed,
        },
        ["Vmm.Virtio.Devices.BalloonDevice"] = new() { ["_target"] = Saved, ["_actual"] = Saved, ["_discarded"] = Counter },
        ["Vmm.Virtio.Devices.BlockDevice"] = new()
        {
            ["_writeback"] = Saved,
            ["_capacity"] = Saved,
            ["_cutAgain"] = Host,
            ["_wasCut"] = Host,
            ["_isClosed"] = Life,
            ["_closing"] = Life,
            ["_identifier"] = Built,
            ["_failures"] = Counter,
            ["_lastReport"] = Host,
        },
        ["Vmm.Virtio.Devices.ConsoleDevice"] = new() { ["_size"] = Saved, ["_dropped"] = Counter },
        ["Vmm.Virtio.Devices.EntropyDevice"] = [],
        ["Vmm.Virtio.Devices.NetDevice"] = new()
        {
            ["_backends"] = Built,
            ["_mac"] = Saved,
            ["_receiveOffloads"] = Saved,
            ["_linkUp"] = Saved,
            ["_receiveDropped"] = Counter,
            ["_transmitDropped"] = Counter,
            ["<TransmitOffloads>k__BackingField"] = Followed,
        },
        ["Vmm.Machine.MachineComponent"] = [],
        ["Vmm.Machine.Devices.ResetPort"] = new() { ["ResetRequested"] = Built },
        ["Vmm.Vfio.Passthrough.HostDeviceComponent"] = [],
        ["Vmm.Vfio.Passthrough.PassthroughFunction"] = new()
        {
            ["_emulated"] = NotSaved,
            ["_withheld"] = NotSaved,
            ["_pushed"] = NotSaved,
            ["_events"] = NotSaved,
            ["_released"] = NotSaved,
            ["_failedResets"] = NotSaved,
        },
        ["Vmm.Machine.Devices.ResetControl"] = new() { ["_value"] = Saved, ["ResetRequested"] = Built },
        ["Vmm.Machine.Devices.PowerControl"] = new()
        {
            ["_start"] = Followed,
            ["_counted"] = Saved,
            ["_status"] = Saved,
            ["_enable"] = Saved,
            ["_asserted"] = Followed,
            ["_control"] = Saved,
            ["PowerOffRequested"] = Built,
            ["ResetRequested"] = Built,
        },
        ["Vmm.Machine.Devices.RealTimeClock"] = new()
        {
            ["_memory"] = Saved,
            ["_offset"] = Saved,
            ["_index"] = Saved,
            ["_a"] = Saved,
            ["_b"] = Saved,
            ["_c"] = Saved,
            ["_disposed"] = Life,
        },
        ["Vmm.Machine.Devices.SerialPort"] = new()
        {
            ["_interruptEnable"] = Saved,
            ["_errors"] = Saved,
            ["_modemControl"] = Saved,
            ["_modemDeltas"] = Saved,
            ["_fifoControl"] = Saved,
            ["_lineControl"] = Saved,
            ["_scratch"] = Saved,
            ["_divisor"] = Saved,
            ["_transmitterPending"] = Saved,
            ["_transmitterDeferred"] = Saved,
            ["_burst"] = "a burst ends with a pause",
            ["_asserted"] = Followed,
            ["InputRoom"] = Built,
        },
        ["Vmm.Machine.Devices.SerialPort+ReceiveFifo"] = new()
        {
            ["_characters"] = Saved,
            ["_head"] = "where the oldest character lies, which nobody sees",
            ["<Count>k__BackingField"] = Saved,
        },
        ["Vmm.Virtio.Devices.NetSteering"] = new() { ["_backends"] = Built, ["_running"] = Followed, ["_inUse"] = Saved },
    };

    private static readonly Assembly[] Assemblies =
    [
        typeof(PciFunction).Assembly, typeof(VirtioPciFunction).Assembly, typeof(VirtualMachine).Assembly, typeof(VfioException).Assembly,
        typeof(IComponent).Assembly, typeof(KvmVirtualMachine).Assembly,
    ];

    public static TheoryData<string> Types => [.. Fields.Keys.Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Types))]
    public void Each_field_is_saved_or_has_a_reason_why_not(string name)
    {
        Type type = Assemblies.Select(assembly => assembly.GetType(name)).First(found => found is not null)!;

        ChangingFields(type).Should().BeEquivalentTo(Fields[name].Keys, "a field that is added to {0} is saved, or gets a reason here", name);
    }

    [Fact]
    public void Every_component_of_these_assemblies_is_looked_at()
    {
        Assemblies.SelectMany(static assembly => assembly.GetTypes())
            .Where(static type => type is { IsInterface: false } && type.IsAssignableTo(typeof(IComponent)))
            .Select(static type => type.FullName)
            .Should().BeSubsetOf(Fields.Keys);
    }

    [Fact]
    public void A_field_that_is_added_is_found()
    {
        ChangingFields(typeof(WithOneMore)).Should().BeEquivalentTo("_added", "_elements");
    }

    private static IEnumerable<string> ChangingFields(Type type)
    {
        return type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
            .Where(static field => !field.IsInitOnly || field.FieldType.IsArray || field.FieldType.Namespace == "System.Collections.Generic")
            .Select(static field => field.Name)
            .Where(static name => !name.EndsWith(">P", StringComparison.Ordinal));
    }

    private sealed class WithOneMore
    {
        private readonly int _fixed = 1;
        private readonly int[] _elements = [2];
        private int _added = 3;

        public int Sum() => _fixed + _added++ + _elements[0];
    }
}
