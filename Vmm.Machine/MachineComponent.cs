using System;
using System.Collections.Generic;
using Vmm.DeviceModel.State;
using Vmm.Machine.State;

namespace Vmm.Machine;

/// <summary>A machine as one component: what shows it, saves it and restores it.</summary>
/// <param name="options">Its make.</param>
/// <param name="devices">The devices on its PCI bus.</param>
/// <param name="platform">The devices at fixed ports; null for a machine that does not run.</param>
internal sealed class MachineComponent(MachineOptions options, MachineDevices devices, MachinePlatform? platform) : IComponent
{
    public string Name => "machine";

    public IReadOnlyList<IComponent> Parts => [devices.HostBridge, devices.ResetControl, .. platform?.Components ?? []];

    public void Inspect(InspectionNode node)
    {
        node.Add("vcpus", options.CpuCount);
        node.AddBits("memory", options.Memory.Size, 8);
    }

    public SavedState Save()
    {
        var state = new MachineState { Memory = options.Memory.Size, Cpus = options.CpuCount };
        return SavedState.Of(MachineState.Kind, MachineState.Version, state, MachineStateJson.Default.MachineState);
    }

    public Action PrepareRestore(SavedState state)
    {
        MachineState machine = state.Read(MachineState.Kind, MachineState.Version, MachineStateJson.Default.MachineState);
        SavedState.Require(machine.Memory == options.Memory.Size, "memory", $"{options.Memory.Size} bytes", machine.Memory);
        SavedState.Require(machine.Cpus == options.CpuCount, "cpus", $"{options.CpuCount}", machine.Cpus);
        return static () => { };
    }
}
