using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;

namespace Vmm.Pci.Bridges;

/// <summary>What a <see cref="PciRootPort"/> is made with. Windows default to room for a function or two that come later.</summary>
public sealed record PciRootPortOptions : PciBridgeOptions
{
    /// <summary>Makes options with the defaults of a root port.</summary>
    public PciRootPortOptions()
    {
        Name = "root-port";
        Pin = InterruptPin.A;
        MemoryWindow = 0x20_0000;
        PrefetchableWindow = 0x200_0000;
    }

    /// <summary>What the port says it is; the default is the generic root port that guests know from other machines.</summary>
    public PciIdentity Identity { get; init; } = new() { VendorId = 0x1b36, DeviceId = 0x000c, ClassCode = 0x060400 };

    /// <summary>Physical slot number, 1 to 8191, unique in the machine: guests name the slot by it.</summary>
    public int SlotNumber { get; init; } = 1;

    /// <summary>The slot can be used while the machine runs.</summary>
    public bool HotPlug { get; init; } = true;

    /// <summary>The slot has an attention button, by which an orderly removal is asked for.</summary>
    public bool AttentionButton { get; init; } = true;

    /// <summary>
    /// The guest switches the slot's power. Without it a function that is added is reachable at once, and an orderly removal ends when the
    /// guest turns the power indicator off.
    /// </summary>
    /// <remarks>
    /// Off by default, because an empty slot without power has only the button to call the guest with: Linux, which looks away for a second
    /// after it has switched the power off, takes a function that is added in this second for a request to remove it.
    /// </remarks>
    public bool PowerController { get; init; }
}
