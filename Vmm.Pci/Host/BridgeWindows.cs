using Vmm.DeviceModel.Bus;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;

namespace Vmm.Pci.Host;

/// <summary>The windows of a bridge: what its registers forward, and the ranges that firmware gives addresses behind it from.</summary>
/// <remarks>The registers are read by any thread; the ranges change under the topology lock.</remarks>
internal sealed class BridgeWindows(PciConfigurationSpace space, PciBridgeOptions options)
{
    private PciWindow? _io;
    private PciWindow? _memory;
    private PciWindow? _prefetchable;

    /// <summary>I/O ports that are forwarded (16 bit).</summary>
    public BridgeWindow Io
    {
        get
        {
            uint register = space.ReadRegister(ConfigurationRegisters.IoBase);
            return new BridgeWindow((register & 0xf0) << 8, ((register & 0xf000) | 0xfff) & 0xffff);
        }
    }

    /// <summary>Memory that is forwarded, below 4 GiB.</summary>
    public BridgeWindow Memory
    {
        get
        {
            uint register = space.ReadRegister(ConfigurationRegisters.MemoryBase);
            return new BridgeWindow((register & 0xfff0) << 16, (register & 0xfff0_0000) | 0xf_ffff);
        }
    }

    /// <summary>Memory that is forwarded, anywhere; for memory without read side effects.</summary>
    public BridgeWindow Prefetchable
    {
        get
        {
            uint register = space.ReadRegister(ConfigurationRegisters.PrefetchableBase);
            ulong upperBase = space.ReadRegister(ConfigurationRegisters.PrefetchableBaseUpper);
            ulong upperLimit = space.ReadRegister(ConfigurationRegisters.PrefetchableLimitUpper);
            return new BridgeWindow((upperBase << 32) | ((register & 0xfff0) << 16), (upperLimit << 32) | (register & 0xfff0_0000) | 0xf_ffff);
        }
    }

    /// <summary>Defines the registers, at their power-on values.</summary>
    public void Define()
    {
        // Power-on values of the windows are ours to choose (3.2.5.6 to 3.2.5.9 leave them undefined): closed.
        space.Define(ConfigurationRegisters.IoBase, 1, 0xf0, 0xf0);
        space.Define(ConfigurationRegisters.IoLimit, 1, 0x00, 0xf0);
        space.Define(ConfigurationRegisters.MemoryBase, 2, 0xfff0, 0xfff0);
        space.Define(ConfigurationRegisters.MemoryLimit, 2, 0, 0xfff0);
        space.Define(ConfigurationRegisters.PrefetchableBase, 2, 0xfff1, 0xfff0);
        space.Define(ConfigurationRegisters.PrefetchableLimit, 2, 1, 0xfff0);
        space.Define(ConfigurationRegisters.PrefetchableBaseUpper, 4, 0, uint.MaxValue);
        space.Define(ConfigurationRegisters.PrefetchableLimitUpper, 4, 0, uint.MaxValue);
    }

    /// <summary>The range that firmware gave a window, or null.</summary>
    public PciWindow? Pool(BridgeWindowKind kind) => kind switch
    {
        BridgeWindowKind.Io => _io,
        BridgeWindowKind.Memory => _memory,
        _ => _prefetchable,
    };

    /// <summary>Least bytes of a window, from the options.</summary>
    public ulong LeastSize(BridgeWindowKind kind) => kind switch
    {
        BridgeWindowKind.Io => options.IoWindow,
        BridgeWindowKind.Memory => options.MemoryWindow,
        _ => options.PrefetchableWindow,
    };

    /// <summary>Programs a window, as firmware does, and keeps its range to give addresses from.</summary>
    public void Program(BridgeWindowKind kind, ulong baseAddress, ulong size)
    {
        uint first = (uint)(baseAddress >> 16) & 0xfff0;
        uint last = (uint)((baseAddress + size - 1) >> 16) & 0xfff0;
        switch (kind)
        {
            case BridgeWindowKind.Io:
                space.Update(ConfigurationRegisters.IoBase, 0xf0f0, (uint)((baseAddress >> 8) & 0xf0) | (uint)((baseAddress + size - 1) & 0xf000));
                _io ??= new PciWindow(AddressSpaceKind.Port, baseAddress, size);
                break;
            case BridgeWindowKind.Memory:
                space.Update(ConfigurationRegisters.MemoryBase, 0xfff0_fff0, first | (last << 16));
                _memory ??= new PciWindow(AddressSpaceKind.Memory, baseAddress, size);
                break;
            default:
                space.Update(ConfigurationRegisters.PrefetchableBase, 0xfff0_fff0, first | (last << 16));
                space.Update(ConfigurationRegisters.PrefetchableBaseUpper, uint.MaxValue, (uint)(baseAddress >> 32));
                space.Update(ConfigurationRegisters.PrefetchableLimitUpper, uint.MaxValue, (uint)((baseAddress + size - 1) >> 32));
                _prefetchable ??= new PciWindow(AddressSpaceKind.Memory, baseAddress, size);
                break;
        }
    }

    /// <summary>The ranges that firmware gave are free again: the bridge left its bus.</summary>
    public void ForgetPools()
    {
        _io = null;
        _memory = null;
        _prefetchable = null;
    }
}
