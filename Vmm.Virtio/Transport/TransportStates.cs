using System;
using System.Collections.Generic;
using System.Globalization;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Transport;

/// <summary>The transport as a part of a machine: its registers, and where the device stands in its rings.</summary>
/// <remarks>Saved while it is paused (<see cref="DeviceLifeCycle.TryPause"/>), and paused after it was restored.</remarks>
internal sealed class TransportStates(
    VirtioDevice device,
    ITransportHost host,
    StatusRegister status,
    FeatureNegotiation features,
    DeviceAnnouncements announcements,
    TransportQueues queues,
    DeviceLifeCycle lifeCycle,
    TransportReports reports) : IComponent
{
    private const DeviceStatus Known = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk | DeviceStatus.FeaturesOk
        | DeviceStatus.NeedsReset | DeviceStatus.Failed;

    public string Name => "transport";

    public void Inspect(InspectionNode node)
    {
        node.Add("status", status.Value.ToString());
        node.AddBits("offered features", features.Offered, 8);
        node.Add("offered", string.Join(' ', FeatureNames.Of(device.DeviceType, features.Offered)));
        node.AddBits("negotiated features", features.Negotiated, 8);
        node.AddBits("config_msix_vector", host.ConfigurationVector, 2);
        node.Add("paused", lifeCycle.IsPaused);
        node.Add("queue resets", queues.Resets);
        node.Add("device failures", reports.DeviceFailures);
        foreach (GuestMistake mistake in Enum.GetValues<GuestMistake>())
        {
            if (reports.CountOf(mistake) is not 0 and long count)
            {
                node.Add("mistakes: " + mistake, count);
            }
        }

        foreach (QueueRegisters queue in queues.All)
        {
            InspectionNode part = node.AddPart("queue" + queue.Index.ToString(CultureInfo.InvariantCulture));
            part.Add("queue_size", queue.Size);
            if (queue.Save() == queue.PowerOnState)
            {
                continue;
            }

            part.Add("queue_enable", queue.IsEnabled);
            part.AddBits("queue_msix_vector", queue.Vector, 2);
            part.AddBits("queue_desc", queue.Descriptors, 8);
            part.AddBits("queue_driver", queue.Driver, 8);
            part.AddBits("queue_device", queue.Device, 8);
            part.Add("running", queue.IsRunning);
        }
    }

    public SavedState Save()
    {
        if (lifeCycle is { IsActive: true, IsPaused: false })
        {
            throw new InvalidOperationException("a device is paused before its state is saved");
        }

        var states = new List<QueueState>();
        foreach (QueueRegisters queue in queues.All)
        {
            QueueState state = queue.Save();
            if (state != queue.PowerOnState)
            {
                states.Add(state);
            }
        }

        var transport = new TransportState
        {
            Status = (byte)status.Value,
            Active = lifeCycle.IsActive,
            DeviceSelect = features.DeviceSelect,
            DriverSelect = features.DriverSelect,
            Written = features.Written,
            Negotiated = features.Negotiated,
            ConfigurationVector = host.ConfigurationVector,
            Generation = announcements.Generation,
            ChangeUnseen = announcements.IsChangeUnseen,
            QueueSelect = queues.Select,
            Queues = states,
        };
        return SavedState.Of(TransportState.Kind, TransportState.Version, transport, VirtioStateJson.Default.TransportState);
    }

    public Action PrepareRestore(SavedState state)
    {
        TransportState transport = state.Read(TransportState.Kind, TransportState.Version, VirtioStateJson.Default.TransportState);
        CheckStatus(transport);
        CheckFeatures(transport);
        RequireVector("configurationVector", transport.ConfigurationVector);
        CheckQueues(transport);
        return () => lifeCycle.Restore(transport);
    }

    private static void CheckStatus(TransportState state)
    {
        var value = (DeviceStatus)state.Status;
        SavedState.Require((value & ~Known) == 0, "status", "bits of device_status", state.Status);
        bool running = (value & DeviceStatus.DriverOk) != 0;
        SavedState.Require(!running || (value & DeviceStatus.FeaturesOk) != 0, "status", "FEATURES_OK with DRIVER_OK", value);
        SavedState.Require(!state.Active || (running && (value & DeviceStatus.Failed) == 0), "active", "false without DRIVER_OK", state.Active);
    }

    private void CheckFeatures(TransportState state)
    {
        if (((DeviceStatus)state.Status & DeviceStatus.FeaturesOk) == 0)
        {
            SavedState.Require(state.Negotiated == 0, "negotiated", "0 before FEATURES_OK", state.Negotiated);
            return;
        }

        string offered = "a set of 0x" + features.Offered.ToString("x", CultureInfo.InvariantCulture) + " that the device accepts";
        SavedState.Require(
            features.Accepts(state.Negotiated) && device.AcceptsFeatures(state.Negotiated), "negotiated", offered, state.Negotiated);
    }

    private void CheckQueues(TransportState state)
    {
        bool packed = (state.Negotiated & RingFeatures.Packed) != 0;
        int last = -1;
        foreach (QueueState queue in state.Queues)
        {
            SavedState.Require(queue is not null, "queues", "queues", "null");
            string path = $"queues[{queue!.Index}]";
            SavedState.Require(queue.Index > last && queue.Index < queues.Count, "queues.index", $"ascending, below {queues.Count}", queue.Index);
            ushort maximum = device.QueueSizes[queue.Index];
            bool sizeFits = queue.Size != 0 && queue.Size <= maximum && (packed || (queue.Size & (queue.Size - 1)) == 0);
            SavedState.Require(sizeFits, path + ".size", $"1 to {maximum}, a power of two for a split ring", queue.Size);
            RequireVector(path + ".vector", queue.Vector);
            bool ran = queue.AvailableIndex is not null;
            SavedState.Require(ran == queue.UsedIndex is not null, path + ".usedIndex", "as availableIndex", queue.UsedIndex);
            SavedState.Require(!ran || (queue.Enabled && state.Active), path + ".availableIndex", "none for a queue that does not run", queue.AvailableIndex);
            SavedState.Require(
                !ran || !packed || ((queue.AvailableIndex & 0x7fff) < queue.Size && (queue.UsedIndex & 0x7fff) < queue.Size),
                path + ".availableIndex", $"a place below {queue.Size}", queue.AvailableIndex);
            last = queue.Index;
        }
    }

    private void RequireVector(string path, ushort vector) => SavedState.Require(host.HasVector(vector), path, "a vector of the function, or none", vector);
}
