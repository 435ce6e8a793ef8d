using System;
using System.Collections.Generic;
using Vmm.DeviceModel.State;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Host;

/// <summary>A PCI-to-PCI bridge: a type-1 header, and a secondary bus that is reached only through what the header says (PCI-12).</summary>
/// <remarks>
/// <para>
/// A function behind the bridge decodes a BAR while the bridge forwards all of it: the Command bit of its kind is set in the bridge too, a
/// window of the bridge contains it, and so for every bridge above. Configuration accesses are routed by the bus numbers; DMA and messages
/// need Bus Master Enable of the bridge. In D3hot and while the secondary bus is held in reset, nothing passes.
/// </para>
/// <para>
/// When a window, the Command register or the state of the secondary side changes, everything behind is evaluated anew and moved by one
/// transaction an address space, after the access that changed it. Functions are added to <see cref="Secondary"/> while the bridge is on a bus.
/// </para>
/// </remarks>
public class PciBridge : PciFunction
{
    private const uint BusReset = (uint)BridgeControl.SecondaryBusReset << 16;
    private const uint ControlWritable = (uint)(
        BridgeControl.ParityErrorResponse | BridgeControl.SystemError | BridgeControl.IsaEnable | BridgeControl.SecondaryBusReset);

    /// <summary>Granularity of the memory windows: 1 MiB.</summary>
    public const ulong MemoryGranularity = 0x10_0000;

    /// <summary>Granularity of the I/O window: 4 KiB.</summary>
    public const ulong IoGranularity = 0x1000;

    // Error bits as in the Status register; bit 14 is "received system error" here.
    private const uint SecondaryStatusClear = 0xf900;

    private readonly Action _applyBelow;

    /// <summary>Makes a bridge with an empty bus behind it.</summary>
    /// <param name="identity">What it says it is; a PCI-to-PCI bridge has class 0x060400. A type-1 header has no subsystem ids.</param>
    /// <param name="options">Name, pin and what firmware gives it.</param>
    public PciBridge(PciIdentity identity, PciBridgeOptions? options = null)
        : base(identity, FunctionOptions(options), isBridge: true)
    {
        Options = options ?? new PciBridgeOptions();
        _applyBelow = ApplyBelow;
        Secondary = new PciBus(this);
        Windows = new BridgeWindows(ConfigurationSpace, Options);
        Windows.Define();
        PciConfigurationSpace space = ConfigurationSpace;
        space.Define(ConfigurationRegisters.HeaderType, 1, 1);
        space.Define(ConfigurationRegisters.PrimaryBus, 1, 0, 0xff);
        space.Define(ConfigurationRegisters.SecondaryBus, 1, 0, 0xff);
        space.Define(ConfigurationRegisters.SubordinateBus, 1, 0, 0xff);
        space.Define(ConfigurationRegisters.SecondaryStatus, 2, 0, 0, SecondaryStatusClear);
        space.Define(ConfigurationRegisters.BridgeControl, 2, 0, ControlWritable);
    }

    /// <summary>The bus behind the bridge.</summary>
    public PciBus Secondary { get; }

    /// <summary>What firmware gives the bridge.</summary>
    public PciBridgeOptions Options { get; }

    /// <summary>Number of the bus that the bridge is on, as software wrote it.</summary>
    public int PrimaryBusNumber => (int)ConfigurationSpace.Read(ConfigurationRegisters.PrimaryBus, 1);

    /// <summary>Number of the bus behind the bridge, as software wrote it.</summary>
    public int SecondaryBusNumber => (int)ConfigurationSpace.Read(ConfigurationRegisters.SecondaryBus, 1);

    /// <summary>The highest bus number behind the bridge, as software wrote it.</summary>
    public int SubordinateBusNumber => (int)ConfigurationSpace.Read(ConfigurationRegisters.SubordinateBus, 1);

    /// <summary>I/O ports that are forwarded (16 bit).</summary>
    public BridgeWindow IoWindow => Windows.Io;

    /// <summary>Memory that is forwarded, below 4 GiB.</summary>
    public BridgeWindow MemoryWindow => Windows.Memory;

    /// <summary>Memory that is forwarded, anywhere; for memory without read side effects.</summary>
    public BridgeWindow PrefetchableWindow => Windows.Prefetchable;

    /// <summary>The Bridge Control register.</summary>
    public BridgeControl Control => (BridgeControl)ConfigurationSpace.Read(ConfigurationRegisters.BridgeControl, 2);

    /// <summary>True while anything passes to and from the secondary side: in D0, the bus not in reset, and its link, if any, up.</summary>
    public bool IsForwarding => PowerState == PciPowerState.D0 && (Control & BridgeControl.SecondaryBusReset) == 0 && IsSecondaryUp;

    /// <inheritdoc/>
    internal override int BarRegisters => 2;

    /// <summary>The windows, and what firmware gave them.</summary>
    internal BridgeWindows Windows { get; }

    /// <summary>True for a port of the root complex, behind which pins may drive wires of their own.</summary>
    internal virtual bool IsRootPort => false;

    /// <summary>True while the secondary side can be reached at all.</summary>
    private protected virtual bool IsSecondaryUp => true;

    /// <inheritdoc/>
    protected override IReadOnlyList<IComponent> Components => [.. Secondary.Functions];

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("secondary bus", SecondaryBusNumber);
        node.Add("subordinate bus", SubordinateBusNumber);
        node.Add("forwarding", IsForwarding);
        node.Add("port window", IoWindow.ToString());
        node.Add("memory window", MemoryWindow.ToString());
        node.Add("prefetchable window", PrefetchableWindow.ToString());
    }

    /// <summary>A function wants to join the secondary bus.</summary>
    /// <exception cref="ArgumentException">The place does not exist.</exception>
    internal virtual void CheckPlace(int device)
    {
    }

    /// <summary>Functions were added to or removed from the secondary bus.</summary>
    internal virtual void SecondaryChanged()
    {
    }

    /// <summary>True if the bridge forwards a BAR that lies behind it.</summary>
    internal bool Forwards(PciBarKind kind, ulong address, ulong size)
    {
        if (!IsForwarding)
        {
            return false;
        }

        if (kind != PciBarKind.Io)
        {
            return (Command & PciCommand.MemorySpace) != 0 && (MemoryWindow.Contains(address, size) || PrefetchableWindow.Contains(address, size));
        }

        // An I/O BAR has at most 256 bytes, so it lies in one quarter of a KiB.
        bool hiddenByIsa = (Control & BridgeControl.IsaEnable) != 0 && (address & 0x300) != 0;
        return (Command & PciCommand.IoSpace) != 0 && !hiddenByIsa && IoWindow.Contains(address, size);
    }

    /// <summary>Programs the bus numbers, as firmware does.</summary>
    internal void SetBusNumbers(int primary, int secondary, int subordinate)
    {
        ConfigurationSpace.Update(ConfigurationRegisters.PrimaryBus, 0xff_ffff, (uint)(primary | (secondary << 8) | (subordinate << 16)));
        Secondary.Renumber();
    }

    /// <summary>Programs a window, as firmware does.</summary>
    internal void SetWindow(BridgeWindowKind kind, ulong baseAddress, ulong size)
    {
        Windows.Program(kind, baseAddress, size);
        Bus?.RunAfterAccess(_applyBelow);
    }

    /// <summary>What passes may have changed: mastering and decoding of everything behind follow.</summary>
    private protected void ForwardingChanged()
    {
        RefreshUpstream();
        Bus?.RunAfterAccess(_applyBelow);
    }

    /// <summary>Resets everything behind the bridge when the access that the calling thread may be in has ended.</summary>
    private protected void ScheduleSecondaryReset()
    {
        if (Bus is { } bus)
        {
            bus.RunAfterAccess(Secondary.ResetFunctions);
        }
    }

    /// <inheritdoc/>
    private protected override void OnHeaderChanged(int register, uint changed, uint value)
    {
        switch (register)
        {
            case ConfigurationRegisters.Command:
                if ((changed & (uint)(PciCommand.IoSpace | PciCommand.MemorySpace)) != 0)
                {
                    Bus?.RunAfterAccess(_applyBelow);
                }

                break;
            case ConfigurationRegisters.PrimaryBus:
                // One register: all four bus number bytes.
                Secondary.Renumber();
                break;
            case ConfigurationRegisters.IoBase:
            case ConfigurationRegisters.MemoryBase:
            case ConfigurationRegisters.PrefetchableBase:
            case ConfigurationRegisters.PrefetchableBaseUpper:
            case ConfigurationRegisters.PrefetchableLimitUpper:
                Bus?.RunAfterAccess(_applyBelow);
                break;
            case ConfigurationRegisters.InterruptLine:
                ControlChanged(changed, value);
                break;
        }
    }

    /// <inheritdoc/>
    private protected override void OnRestored()
    {
        Secondary.Renumber();
        ForwardingChanged();
    }

    /// <inheritdoc/>
    private protected override void OnPowerStateChanged() => ForwardingChanged();

    /// <inheritdoc/>
    protected override void OnBusMasterChanged() => RefreshUpstream();

    /// <inheritdoc/>
    protected override void OnReset()
    {
        Secondary.Renumber();
        Secondary.ResetFunctions();
        ForwardingChanged();
    }

    private protected virtual void OnSecondaryBusReset(bool asserted)
    {
    }

    private static PciFunctionOptions FunctionOptions(PciBridgeOptions? options)
    {
        options ??= new PciBridgeOptions();
        return new PciFunctionOptions { Name = options.Name, Pin = options.Pin, ExtendedConfigurationSpace = true };
    }

    private void ControlChanged(uint changed, uint value)
    {
        if ((changed & BusReset) != 0)
        {
            bool asserted = (value & BusReset) != 0;
            if (asserted)
            {
                ScheduleSecondaryReset();
            }

            OnSecondaryBusReset(asserted);
            ForwardingChanged();
        }
        else if ((changed & ((uint)BridgeControl.IsaEnable << 16)) != 0)
        {
            Bus?.RunAfterAccess(_applyBelow);
        }
    }

    private void RefreshUpstream()
    {
        foreach (PciFunction function in Secondary.Functions)
        {
            function.ApplyBusMaster();
        }
    }

    private void ApplyBelow()
    {
        if (Bus is PciBus bus)
        {
            BarMapper.Apply(bus.Decoding, Secondary.CollectBelow().ConvertAll(static function => function.Decoding));
        }
    }
}
