using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Http;
using Vmm.Api.Config;
using Vmm.DeviceModel.State;
using Vmm.Machine;
using Vmm.Machine.Catalogue;
using Vmm.Machine.Control;
using Vmm.Pci.Bridges;
using Vmm.Pci.Host;

namespace Vmm.Api.Endpoints;

/// <summary>Requests that only look; none waits for a command.</summary>
/// <param name="controller">Has the machine.</param>
/// <param name="options">Who we are.</param>
internal sealed class LookEndpoints(MachineController controller, ApiServerOptions options)
{
    public Task<ApiAnswer> Ping(ApiRequest request) => Task.FromResult(ApiAnswer.Of(json =>
    {
        json.WriteStartObject();
        json.WriteString("build_version", options.BuildVersion);
        json.WriteString("version", options.Version);
        json.WriteNumber("pid", Environment.ProcessId);
        json.WriteStartArray("features");
        json.WriteStringValue("kvm");
        json.WriteEndArray();
        json.WriteEndObject();
    }));

    public Task<ApiAnswer> Info(ApiRequest request)
    {
        MachineInfo info = controller.Info;
        if (info.Options is not { } machine)
        {
            throw new ControlException(ControlError.NotCreated, "there is no VM: create one first");
        }

        IReadOnlyList<DeviceOptions> devices = info.Devices.Count != 0
            ? [.. info.Devices.Select(static device => device.Options)]
            : machine.NameDevices();
        return Task.FromResult(ApiAnswer.Of(json =>
        {
            json.WriteStartObject();
            json.WritePropertyName("config");
            new VmConfigWriter(json, FindPath).Write(machine, devices);
            json.WriteString("state", info.Status.ToString());
            json.WriteNumber("memory_actual_size", machine.Memory.Size);
            if (info.Devices.Count != 0)
            {
                WriteTree(json, info.Devices, machine);
            }
            else
            {
                json.WriteNull("device_tree");
            }

            json.WriteEndObject();
        }));
    }

    public Task<ApiAnswer> Counters(ApiRequest request)
    {
        IReadOnlyList<MachineDevice> devices = controller.Look(static machine => machine.Devices);
        return Task.FromResult(ApiAnswer.Of(json =>
        {
            json.WriteStartObject();
            foreach (MachineDevice device in devices)
            {
                IReadOnlyList<DeviceCounter> counters = (device.Function as IDeviceCounters)?.Counters ?? [];
                if (counters.Count == 0)
                {
                    continue;
                }

                json.WriteStartObject(device.Id);
                foreach (DeviceCounter counter in counters)
                {
                    json.WriteNumber(counter.Name, counter.Value);
                }

                json.WriteEndObject();
            }

            json.WriteEndObject();
        }));
    }

    public Task<ApiAnswer> Inspect(ApiRequest request) => Task.FromResult(Show(request, controller.Inspect()));

    public Task<ApiAnswer> InspectOne(ApiRequest request)
    {
        InspectionNode? node = Find(controller.Inspect(), request.Below);
        return Task.FromResult(node is null
            ? ApiAnswer.Refusal(StatusCodes.Status404NotFound, $"the VM has no part {request.Below}")
            : Show(request, node));
    }

    public Task<ApiAnswer> Metrics(ApiRequest request) => Task.FromResult(ApiAnswer.Of(MetricsText.Write(controller), MetricsText.ContentType));

    private static ApiAnswer Show(ApiRequest request, InspectionNode node) =>
        request.WantsText ? ApiAnswer.Of(node.ToText(), "text/plain; charset=utf-8") : ApiAnswer.Of(node.ToJson(), ApiAnswer.Json);

    /// <summary>A device by its id; other parts by the name that they have in the tree, addresses among them.</summary>
    private static InspectionNode? Find(InspectionNode root, string name)
    {
        return FindFirst(root, node => node.Values.Any(value => value.Name == "name" && value.Text == name))
            ?? FindFirst(root, node => node.Name == name);
    }

    private static InspectionNode? FindFirst(InspectionNode node, Func<InspectionNode, bool> wanted) =>
        wanted(node) ? node : node.Parts.Select(part => FindFirst(part, wanted)).FirstOrDefault(static found => found is not null);

    private static void WriteTree(Utf8JsonWriter json, IReadOnlyList<MachineDevice> devices, MachineOptions machine)
    {
        json.WriteStartObject("device_tree");
        foreach (PciRootPortOptions port in machine.RootPorts)
        {
            WriteNode(json, port.Name, null, devices.Where(device => PortOf(device) == port.Name).Select(static device => device.Id), null);
        }

        foreach (MachineDevice device in devices)
        {
            WriteNode(json, device.Id, PortOf(device), [], $"0000:{device.Function.Address}");
        }

        json.WriteEndObject();
    }

    /// <summary>The root port that a device is behind; null for one on the root bus.</summary>
    private static string? PortOf(MachineDevice device) => device.Function.Bus is PciBus { Bridge.Name: { } name } ? name : null;

    private static void WriteNode(Utf8JsonWriter json, string id, string? parent, IEnumerable<string> children, string? address)
    {
        json.WriteStartObject(id);
        json.WriteString("id", id);
        json.WriteStartArray("resources");
        json.WriteEndArray();
        json.WriteString("parent", parent);
        json.WriteStartArray("children");
        foreach (string child in children)
        {
            json.WriteStringValue(child);
        }

        json.WriteEndArray();
        json.WriteString("pci_bdf", address);
        json.WriteEndObject();
    }

    /// <summary>The terminal that a serial port or a console was given.</summary>
    private string? FindPath(string id)
    {
        try
        {
            return controller.Look(machine => id == VmConfigWriter.SerialPort ? machine.SerialPath : machine.ConsolePath(id));
        }
        catch (ControlException)
        {
            // It runs no more.
            return null;
        }
    }
}
