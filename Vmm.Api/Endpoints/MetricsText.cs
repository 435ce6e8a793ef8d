using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Text;
using Vmm.DeviceModel.State;
using Vmm.Machine;
using Vmm.Machine.Control;

namespace Vmm.Api.Endpoints;

/// <summary>The machine's counters in the text form of OpenMetrics 1.0.</summary>
internal static class MetricsText
{
    public const string ContentType = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    /// <summary>Writes what there is now; of a machine that does not run, its state alone.</summary>
    public static string Write(MachineController controller)
    {
        var text = new StringBuilder();
        MachineStatus status = controller.Info.Status;
        text.Append("# TYPE vmm_state stateset\n# HELP vmm_state The state of the VM.\n");
        foreach (MachineStatus state in Enum.GetValues<MachineStatus>())
        {
            text.Append(CultureInfo.InvariantCulture, $"vmm_state{{vmm_state=\"{state}\"}} {(state == status ? 1 : 0)}\n");
        }

        text.Append("# TYPE process_resident_memory_bytes gauge\n# UNIT process_resident_memory_bytes bytes\n");
        text.Append(CultureInfo.InvariantCulture, $"process_resident_memory_bytes {Environment.WorkingSet}\n");
        try
        {
            (IReadOnlyList<long> exits, IReadOnlyList<MachineDevice> devices) = controller.Look(static machine => (machine.VcpuExits, machine.Devices));
            WriteExits(text, exits);
            WriteDevices(text, devices);
        }
        catch (ControlException)
        {
            // No machine runs.
        }

        return text.Append("# EOF\n").ToString();
    }

    private static void WriteExits(StringBuilder text, IReadOnlyList<long> exits)
    {
        text.Append("# TYPE vmm_vcpu_exits counter\n# HELP vmm_vcpu_exits Exits from the guest that were handled.\n");
        foreach ((int vcpu, long count) in exits.Index())
        {
            text.Append(CultureInfo.InvariantCulture, $"vmm_vcpu_exits_total{{vcpu=\"{vcpu}\"}} {count}\n");
        }
    }

    private static void WriteDevices(StringBuilder text, IReadOnlyList<MachineDevice> devices)
    {
        // The samples of a family stand together.
        IEnumerable<IGrouping<string, (string Id, DeviceCounter Counter)>> families = devices
            .SelectMany(static device => ((device.Function as IDeviceCounters)?.Counters ?? []).Select(counter => (device.Id, Counter: counter)))
            .GroupBy(static sample => sample.Counter.Name, StringComparer.Ordinal);
        foreach (IGrouping<string, (string Id, DeviceCounter Counter)> family in families)
        {
            string name = "vmm_device_" + ToName(family.Key);
            text.Append(CultureInfo.InvariantCulture, $"# TYPE {name} counter\n");
            foreach ((string id, DeviceCounter counter) in family)
            {
                text.Append(CultureInfo.InvariantCulture, $"{name}_total{{device=\"{Escape(id)}\"}} {counter.Value}\n");
            }
        }
    }

    /// <summary>An embedder's device may call its counters as it likes.</summary>
    private static string ToName(string name) => string.Concat(name.Select(static c => char.IsAsciiLetterOrDigit(c) ? c : '_'));

    private static string Escape(string text) =>
        text.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
}
