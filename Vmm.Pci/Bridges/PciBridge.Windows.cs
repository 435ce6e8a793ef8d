using Vmm.DeviceModel.Bus;
using Vmm.Pci.Host;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Bridges;

/// <content>The windows, and the part of them that firmware gives addresses from.</content>
public partial class PciBridge
{
    /// <summary>Granularity of the memory windows: 1 MiB.</summary>
    public const ulong MemoryGranularity = 0x10_0000;

    /// <summary>Granularity of the I/O window: 4 KiB.</summary>
    public const ulong IoGranularity = 0x1000;

    /// <summary>I/O ports that are forwarded (16 bit).</summary>
    public BridgeWindow IoWindow
    {
        get
        {
            uint register = ConfigurationSpace.ReadRegister(ConfigurationRegisters.IoBase);
            return new BridgeWindow((register & 0xf0) << 8, ((register & 0xf000) | 0xfff) & 0xffff);
        }
    }

    /// <summary>Memory that is forwarded, below 4 GiB.</summary>
    public BridgeWindow MemoryWindow
    {
        get
        {
            uint register = ConfigurationSpace.ReadRegister(ConfigurationRegisters.MemoryBase);
            return new BridgeWindow((register & 0xfff0) << 16, (register & 0xfff0_0000) | 0xf_ffff);
        }
    }

    /// <summary>Memory that is forwarded, anywhere; for memory without read side effects.</summary>
    public BridgeWindow PrefetchableWindow
    {
        get
        {
            uint register = ConfigurationSpace.ReadRegister(ConfigurationRegisters.PrefetchableBase);
            ulong upperBase = ConfigurationSpace.ReadRegister(ConfigurationRegisters.PrefetchableBaseUpper);
            ulong upperLimit = ConfigurationSpace.ReadRegister(ConfigurationRegisters.PrefetchableLimitUpper);
            return new BridgeWindow((upperBase << 32) | ((register & 0xfff0) << 16), (upperLimit << 32) | (register & 0xfff0_0000) | 0xf_ffff);
        }
    }

    /// <summary>What firmware gave the memory window, or null.</summary>
    internal PciWindow? MemoryPool { get; private set; }

    /// <summary>What firmware gave the prefetchable window, or null.</summary>
    internal PciWindow? PrefetchablePool { get; private set; }

    /// <summary>What firmware gave the I/O window, or null.</summary>
    internal PciWindow? IoPool { get; private set; }

    /// <summary>Programs the bus numbers, as firmware does.</summary>
    internal void SetBusNumbers(int primary, int secondary, int subordinate)
    {
        ConfigurationSpace.Update(ConfigurationRegisters.PrimaryBus, 0xff_ffff, (uint)(primary | (secondary << 8) | (subordinate << 16)));
        Secondary.Renumber();
    }

    /// <summary>Programs a window, as firmware does, and keeps its range to give addresses from.</summary>
    internal void SetWindow(BridgeWindowKind kind, ulong baseAddress, ulong size)
    {
        uint first = (uint)(baseAddress >> 16) & 0xfff0;
        uint last = (uint)((baseAddress + size - 1) >> 16) & 0xfff0;
        var space = ConfigurationSpace;
        switch (kind)
        {
            case BridgeWindowKind.Io:
                space.Update(ConfigurationRegisters.IoBase, 0xf0f0, (uint)((baseAddress >> 8) & 0xf0) | (uint)((baseAddress + size - 1) & 0xf000));
                IoPool ??= new PciWindow(AddressSpaceKind.Port, baseAddress, size);
                break;
            case BridgeWindowKind.Memory:
                space.Update(ConfigurationRegisters.MemoryBase, 0xfff0_fff0, first | (last << 16));
                MemoryPool ??= new PciWindow(AddressSpaceKind.Memory, baseAddress, size);
                break;
            default:
                space.Update(ConfigurationRegisters.PrefetchableBase, 0xfff0_fff0, first | (last << 16));
                space.Update(ConfigurationRegisters.PrefetchableBaseUpper, uint.MaxValue, (uint)(baseAddress >> 32));
                space.Update(ConfigurationRegisters.PrefetchableLimitUpper, uint.MaxValue, (uint)((baseAddress + size - 1) >> 32));
                PrefetchablePool ??= new PciWindow(AddressSpaceKind.Memory, baseAddress, size);
                break;
        }

        Bus?.RunAfterAccess(_applyBelow);
    }

    /// <summary>The ranges that firmware gave are free again: the bridge left its bus.</summary>
    internal void ForgetPools()
    {
        MemoryPool = null;
        PrefetchablePool = null;
        IoPool = null;
    }

    /// <summary>Least size of a window, from the options.</summary>
    internal ulong LeastSize(BridgeWindowKind kind) => kind switch
    {
        BridgeWindowKind.Io => Options.IoWindow,
        BridgeWindowKind.Memory => Options.MemoryWindow,
        _ => Options.PrefetchableWindow,
    };
}
