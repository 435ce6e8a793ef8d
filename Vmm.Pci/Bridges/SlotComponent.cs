using System;
using Vmm.DeviceModel.State;
using Vmm.Pci.State;

namespace Vmm.Pci.Bridges;

/// <summary>The slot of a root port as a part of the machine.</summary>
internal sealed class SlotComponent(PciRootPort port) : IComponent
{
    public string Name => "slot";

    public void Inspect(InspectionNode node)
    {
        node.Add("occupied", port.IsOccupied);
        node.Add("powered", port.IsPowered);
        node.Add("link active", port.IsLinkActive);
        node.Add("attention indicator", port.AttentionIndicator.ToString());
        node.Add("power indicator", port.PowerIndicator.ToString());
        node.Add("removal asked", port.IsRemovalAsked);
    }

    public SavedState Save()
    {
        return SavedState.Of(
            SlotState.Kind, SlotState.Version, new SlotState { RemovalAsked = port.IsRemovalAsked }, PciStateJson.Default.SlotState);
    }

    public Action PrepareRestore(SavedState state)
    {
        SlotState slot = state.Read(SlotState.Kind, SlotState.Version, PciStateJson.Default.SlotState);
        SavedState.Require(!slot.RemovalAsked || port.HasHotPlug, "removalAsked", "false for a slot without hot-plug", "true");
        SavedState.Require(!slot.RemovalAsked || port.Secondary.Find(0) is not null, "removalAsked", "false for an empty slot", "true");
        return () => port.RestoreRemoval(slot.RemovalAsked);
    }
}
