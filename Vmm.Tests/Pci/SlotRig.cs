using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;

namespace Vmm.Tests.Pci;

/// <summary>A root port at 00:02.0 as a guest's drivers set it up: numbered, forwarding, with its hot-plug events
/// enabled and messages. The slot has power control unless told otherwise.</summary>
internal sealed class SlotRig
{
    public const uint ButtonPressed = 1;
    public const uint PresenceChanged = 8;
    public const uint Completed = 0x10;
    public const uint Present = 0x40;
    public const uint LinkChanged = 0x100;
    public const uint PowerOff = 0x400;
    public const uint IndicatorOff = 0x300;
    public const uint IndicatorOn = 0x100;
    public const uint AllEvents = 0x103b;

    public SlotRig(PciRootPortOptions? options = null)
    {
        Port = Bridges.AddPort(options: options ?? new PciRootPortOptions { PowerController = true });
        Express = BridgeRig.Express(Port);
        Bridges.Host.Root.AssignResources();
        Bridges.Write(Port, 4, 2, 7);
        Bridges.EnableMessages(Port);
        Control |= AllEvents;
        Acknowledge(0xffff);
        Bridges.Rig.Sink.Clear();
    }

    public BridgeRig Bridges { get; } = new();

    public PciRootPort Port { get; }

    /// <summary>Where the PCI Express capability lies.</summary>
    public int Express { get; }

    /// <summary>Slot Control; setting it is one command.</summary>
    public uint Control
    {
        get => Bridges.Read(Port, Express + 0x18, 2);
        set => Bridges.Write(Port, Express + 0x18, 2, value);
    }

    public uint Status => Bridges.Status(Port);

    /// <summary>Link Control.</summary>
    public uint Link
    {
        get => Bridges.Read(Port, Express + 0x10, 2);
        set => Bridges.Write(Port, Express + 0x10, 2, value);
    }

    /// <summary>Link Status, Data Link Layer Link Active.</summary>
    public bool LinkActive => (Bridges.Read(Port, Express + 0x12, 2) & 0x2000) != 0;

    /// <summary>Messages that were sent.</summary>
    public int Messages => Bridges.Rig.Sink.Count;

    /// <summary>What a configuration read of the first function behind the port gives.</summary>
    public uint Id => Bridges.Read(new PciAddress(1, 0, 0), 0, 4);

    /// <summary>A function with a page of memory that reads 0x77.</summary>
    public static PciFunction Function() => PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new ConstantHandler(0x77)));

    public void Acknowledge(uint events) => Bridges.Acknowledge(Port, events);

    /// <summary>Adds a function, and does what the guest does until it runs.</summary>
    public PciFunction Run()
    {
        PciFunction function = Function();
        Port.HotAdd(function);
        Control = (Control & ~(PowerOff | IndicatorOff)) | IndicatorOn;
        Bridges.Write(function, 0x10, 4, (uint)Port.MemoryWindow.Base);
        Bridges.Write(function, 4, 2, 6);
        function.GetMappedAddress(0).Should().NotBeNull();
        Acknowledge(0xffff);
        Bridges.Rig.Sink.Clear();
        return function;
    }
}
