using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Hypervisor;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>One PCI function, with a type-0 header unless it is a bridge: identity, command and status, BARs, capabilities and the interrupt pin.</summary>
/// <remarks>
/// <para>
/// Set-up, by one thread: construct, <see cref="AddBar"/> and <see cref="AddCapability"/> (a derived class does so in its constructor), then
/// <see cref="PciBus.Add"/>, which seals the layout. From then on configuration accesses come from any vCPU, several at once.
/// </para>
/// <para>
/// A register changes by one compare-and-swap and without a lock; what follows from it (decoding, bus mastering, the pin, MSI-X) is computed
/// from the registers as they are when it is applied, so that of two changes that race the last application agrees with the registers.
/// Decoding is changed after the access has ended (<see cref="Vmm.DeviceModel.Bus.AccessDomain.RunAfterAccess"/>).
/// Lock order: the mapping lock, then the address space's; the bus master lock and the pin's lock are leaves apart from the wire's.
/// </para>
/// </remarks>
public partial class PciFunction : IDisposable
{
    private const uint CommandWritable = (uint)(PciCommand.IoSpace | PciCommand.MemorySpace | PciCommand.BusMaster
        | PciCommand.ParityErrorResponse | PciCommand.SystemError | PciCommand.InterruptDisable);

    private const uint StatusWriteOneToClear = (uint)(PciStatus.MasterDataParityError | PciStatus.SignaledTargetAbort
        | PciStatus.ReceivedTargetAbort | PciStatus.ReceivedMasterAbort | PciStatus.SignaledSystemError | PciStatus.DetectedParityError);

    private const uint MultiFunctionBit = 0x80u << 16;

    private readonly PciConfigurationSpace _space;
    private readonly PciCapability?[] _writeHooks;
    private readonly PciCapability?[] _readHooks;
    private readonly List<PciCapability> _capabilities = [];
    private readonly Lock _busMasterLock = new();
    private MsixCapability? _msix;
    private MsiCapability? _msi;
    private PowerManagementCapability? _power;
    private PciCapability? _lastStandard;
    private PciCapability? _lastExtended;
    private int _nextStandard = ConfigurationRegisters.FirstCapability;
    private int _nextExtended = ConfigurationRegisters.FirstExtendedCapability;
    private bool _sealed;
    private bool _busMastering;
    private bool _disposed;

    /// <summary>Makes a function without BARs and capabilities.</summary>
    /// <param name="identity">What it says it is.</param>
    /// <param name="options">Name, pin, space and DMA.</param>
    public PciFunction(PciIdentity identity, PciFunctionOptions? options = null)
        : this(identity, options, isBridge: false)
    {
    }

    private protected PciFunction(PciIdentity identity, PciFunctionOptions? options, bool isBridge)
    {
        ArgumentNullException.ThrowIfNull(identity);
        options ??= new PciFunctionOptions();
        Identity = identity;
        Name = options.Name;
        Dma = options.Dma;
        Intx = new IntxPin(this, options.Pin);
        _space = new PciConfigurationSpace(
            options.ExtendedConfigurationSpace ? PciConfigurationSpace.ExpressLength : PciConfigurationSpace.ConventionalLength);
        _writeHooks = new PciCapability?[_space.Length / 4];
        _readHooks = new PciCapability?[_space.Length / 4];
        _self = [this];
        _applyMapping = ApplyMapping;
        _space.Define(ConfigurationRegisters.VendorId, 2, identity.VendorId);
        _space.Define(ConfigurationRegisters.DeviceId, 2, identity.DeviceId);
        _space.Define(ConfigurationRegisters.Command, 2, 0, CommandWritable);
        _space.Define(ConfigurationRegisters.Status, 2, 0, 0, StatusWriteOneToClear);
        _space.Define(ConfigurationRegisters.RevisionId, 4, identity.RevisionId | (identity.ClassCode << 8));
        _space.Define(ConfigurationRegisters.CacheLineSize, 1, 0, 0xff);
        _space.Define(ConfigurationRegisters.LatencyTimer, 1, 0, 0xff);
        if (!isBridge)
        {
            _space.Define(ConfigurationRegisters.SubsystemVendorId, 2, identity.SubsystemVendorId);
            _space.Define(ConfigurationRegisters.SubsystemId, 2, identity.SubsystemId);
        }

        _space.Define(ConfigurationRegisters.InterruptLine, 1, 0, 0xff);
        _space.Define(ConfigurationRegisters.InterruptPin, 1, (uint)options.Pin);
        if (Dma is not null)
        {
            Dma.Enabled = false;
        }
    }

    /// <summary>What the function says it is.</summary>
    public PciIdentity Identity { get; }

    /// <summary>Shown in logs.</summary>
    public string Name { get; }

    /// <summary>The bus that the function is on, or null.</summary>
    public PciBus? Bus { get; private set; }

    /// <summary>Where it sits while it is on a bus. Behind a bridge the bus number is what the guest wrote there last.</summary>
    public PciAddress Address { get; private set; }

    /// <summary>The registers as data. What a guest writes goes through <see cref="WriteConfiguration"/>, which also applies what follows.</summary>
    public PciConfigurationSpace ConfigurationSpace => _space;

    /// <summary>The capabilities in the order of their lists.</summary>
    public IReadOnlyList<PciCapability> Capabilities => _capabilities;

    /// <summary>The interrupt pin.</summary>
    public IntxPin Intx { get; }

    /// <summary>What the device masters the bus with, or null.</summary>
    public DmaTarget? Dma { get; }

    /// <summary>The MSI-X capability, or null.</summary>
    public MsixCapability? Msix => _msix;

    /// <summary>The Command register.</summary>
    public PciCommand Command => (PciCommand)(_space.ReadRegister(ConfigurationRegisters.Command) & 0xffff);

    /// <summary>The Status register.</summary>
    public PciStatus Status => (PciStatus)(_space.ReadRegister(ConfigurationRegisters.Command) >> 16);

    /// <summary>The MSI capability, or null.</summary>
    public MsiCapability? Msi => _msi;

    /// <summary>The power state; D0 for a function without power management.</summary>
    public PciPowerState PowerState => _power?.State ?? PciPowerState.D0;

    /// <summary>
    /// True while the device may use DMA and send messages: Bus Master Enable is set, the function is in D0, and the bridges above forward.
    /// </summary>
    public bool IsBusMaster =>
        (Command & PciCommand.BusMaster) != 0 && PowerState == PciPowerState.D0 && (Bus is not { } bus || bus.ForwardsUpstream);

    /// <summary>True while MSI-X is the interrupt mechanism and INTx is silent.</summary>
    public bool IsMsixEnabled => _msix is { IsEnabled: true };

    /// <summary>True while interrupts are messages (MSI-X or MSI) and INTx is silent.</summary>
    public bool UsesMessages => IsMsixEnabled || _msi is { IsEnabled: true };

    /// <summary>How often a capability or a BAR region threw during a configuration access; such an access reads all-ones.</summary>
    public long Faults => Volatile.Read(ref _faults);

    /// <summary>Appends a capability to its list.</summary>
    /// <param name="capability">A capability of no function.</param>
    /// <exception cref="ArgumentException">The list overflows, or the function has no extended space.</exception>
    /// <exception cref="InvalidOperationException">The function has been on a bus.</exception>
    public void AddCapability(PciCapability capability)
    {
        ArgumentNullException.ThrowIfNull(capability);
        ThrowIfSealed();
        if (capability.Function is not null)
        {
            throw new ArgumentException("the capability belongs to a function already", nameof(capability));
        }

        string? single = capability switch
        {
            MsixCapability => "MSI-X",
            MsiCapability => "MSI",
            PowerManagementCapability => "power management",
            PciExpressCapability => "PCI Express",
            _ => null,
        };
        if (single is not null && _capabilities.Exists(other => other.Id == capability.Id))
        {
            throw new ArgumentException($"a function has one {single} capability", nameof(capability));
        }

        bool extended = capability is PciExtendedCapability;
        int end = extended ? _space.Length : PciConfigurationSpace.ConventionalLength;
        ref int next = ref extended ? ref _nextExtended : ref _nextStandard;
        if (capability.Length > end - next)
        {
            throw new ArgumentException(
                $"{Name}: the {(extended ? "extended " : string.Empty)}capability list overflows: id 0x{capability.Id:x} takes {capability.Length} bytes at 0x{next:x}, "
                + $"the list ends at 0x{end:x}",
                nameof(capability));
        }

        int offset = next;
        next += (capability.Length + 3) & ~3;
        capability.DefineIn(_space, offset);
        _space.Redefine(offset, extended ? uint.MaxValue : 0xffff, capability.HeaderFor(0));
        Link(capability, extended);
        capability.Function = this;
        _capabilities.Add(capability);
        _msix ??= capability as MsixCapability;
        _msi ??= capability as MsiCapability;
        _power ??= capability as PowerManagementCapability;
        for (int at = offset; at < next; at += 4)
        {
            _writeHooks[at / 4] = capability;
            _readHooks[at / 4] = capability.HandlesReads ? capability : null;
        }
    }

    /// <summary>A configuration read of the guest, of any capability and register, at once.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>; outside the space reads are all-ones.</param>
    /// <param name="width">1, 2 or 4.</param>
    public uint ReadConfiguration(int offset, int width)
    {
        if (!IsAccess(offset, width))
        {
            return uint.MaxValue;
        }

        var hook = _readHooks[offset >> 2];
        return hook is null ? _space.Read(offset, width) : ReadHandled(hook, offset, width);
    }

    /// <summary>A configuration write of the guest. What it sets off has happened when the access that carries it has ended.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>; outside the space writes are dropped.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">The value in the low bytes.</param>
    public void WriteConfiguration(int offset, int width, uint value)
    {
        if (!IsAccess(offset, width))
        {
            return;
        }

        var write = _space.Write(offset, width, value);
        var hook = _writeHooks[offset >> 2];
        if (hook is not null)
        {
            WriteHandled(hook, write);
        }
        else if (write.Old != write.New)
        {
            HeaderChanged(write.Offset, write.Changed, write.New);
        }
    }

    /// <summary>Sets error bits of the Status register; the guest clears them by writing ones.</summary>
    /// <param name="errors">The bits to set; others than the error bits are ignored.</param>
    public void ReportErrors(PciStatus errors)
    {
        uint bits = ((uint)errors & StatusWriteOneToClear) << 16;
        _space.Update(ConfigurationRegisters.Command, bits, bits);
    }

    /// <summary>Takes the whole function to its power-on state: registers, interrupts, decoding, and the device through <see cref="OnReset"/>.</summary>
    public void Reset()
    {
        _space.Reset();
        foreach (var capability in _capabilities)
        {
            capability.OnReset();
        }

        ApplyBusMaster();
        Intx.SetLevel(false);
        ScheduleMapping();
        OnReset();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (!_disposed)
        {
            _disposed = true;
            Dispose(true);
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Called by MSI-X and MSI when an enable or mask bit has changed.</summary>
    internal void InterruptModeChanged()
    {
        Intx.Refresh();

        // MSI-X decides whether MSI sends.
        _msi?.FunctionChanged();
        OnInterruptModeChanged();
    }

    /// <summary>Resets the function when the access that the calling thread may be in has ended.</summary>
    internal void ScheduleReset()
    {
        if (Bus is { } bus)
        {
            bus.RunAfterAccess(Reset);
        }
        else
        {
            Reset();
        }
    }

    /// <summary>The power state changed: decoding, mastering and the pin follow it, or all of them a reset.</summary>
    internal void PowerStateChanged(bool reset)
    {
        if (reset)
        {
            ScheduleReset();
            return;
        }

        ApplyBusMaster();
        Intx.Refresh();
        ScheduleMapping();
        OnPowerStateChanged();
    }

    /// <summary>A bridge above forwards what it did not, or the other way round.</summary>
    internal void UpstreamChanged() => ApplyBusMaster();

    /// <summary>The bus has another number now.</summary>
    internal void Renumber()
    {
        if (Bus is { } bus)
        {
            Address = new PciAddress(bus.Number, Address.Device, Address.Function);
            foreach (var capability in _capabilities)
            {
                (capability as MessageCapability)?.AddressChanged();
            }
        }
    }

    internal void SetMultiFunction(bool several)
    {
        _space.Redefine(ConfigurationRegisters.CacheLineSize, MultiFunctionBit, several ? MultiFunctionBit : 0);
    }

    internal void ReportRouteRefused(int vector, HypervisorException reason)
    {
        if (_reports.TryTake(out _))
        {
            Log.RouteRefused(_logger, reason, Name, Address, vector);
        }
    }

    /// <summary>Releases what the function holds; it must be on no bus any more.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
        {
            return;
        }

        if (Bus is not null)
        {
            throw new InvalidOperationException($"{Name} at {Address} is still on its bus: remove it first");
        }

        foreach (var capability in _capabilities)
        {
            (capability as IDisposable)?.Dispose();
        }
    }

    /// <summary>The function was reset: registers, interrupts and BARs are at their power-on values, the device follows here.</summary>
    protected virtual void OnReset()
    {
    }

    /// <summary>The device may master the bus now, or may not any more; <see cref="IsBusMaster"/> says to what. A device that waited for it goes on here.</summary>
    protected virtual void OnBusMasterChanged()
    {
    }

    /// <summary>MSI-X was enabled, disabled, masked or unmasked as a whole, or MSI was enabled or disabled.</summary>
    protected virtual void OnInterruptModeChanged()
    {
    }

    /// <summary>A header register changed by a guest's write; what every function does about it is done.</summary>
    private protected virtual void OnHeaderChanged(int register, uint changed, uint value)
    {
    }

    /// <summary>The function went to or came back from D3hot without a reset.</summary>
    private protected virtual void OnPowerStateChanged()
    {
    }

    private bool IsAccess(int offset, int width)
    {
        return width is 1 or 2 or 4 && (offset & (width - 1)) == 0 && (uint)offset < (uint)_space.Length;
    }

    private uint ReadHandled(PciCapability hook, int offset, int width)
    {
        int register = offset & ~3;
        try
        {
            uint value = hook.OnRead(register - hook.Offset, ByteLanes.Of(offset, width), _space.ReadRegister(register));
            return (value >> ((offset & 3) * 8)) & (uint.MaxValue >> (32 - (width * 8)));
        }
        catch (Exception e)
        {
            // An exception must not reach the bus: there it would take the whole configuration window out of service.
            Fault(e, offset);
            return uint.MaxValue >> (32 - (width * 8));
        }
    }

    private void WriteHandled(PciCapability hook, in ConfigurationWrite write)
    {
        try
        {
            hook.OnWritten(write.Offset - hook.Offset, write);
        }
        catch (Exception e)
        {
            Fault(e, write.Offset);
        }
    }

    private void HeaderChanged(int register, uint changed, uint value)
    {
        if (register == ConfigurationRegisters.Command)
        {
            CommandChanged((PciCommand)(changed & 0xffff));
        }
        else if (MovesDecoding(register, changed | value))
        {
            ScheduleMapping();
        }

        OnHeaderChanged(register, changed, value);
    }

    private void CommandChanged(PciCommand changed)
    {
        if ((changed & _decodeBits) != 0)
        {
            ScheduleMapping();
        }

        if ((changed & PciCommand.BusMaster) != 0)
        {
            ApplyBusMaster();
        }

        if ((changed & PciCommand.InterruptDisable) != 0)
        {
            Intx.Refresh();
        }
    }

    private void ApplyBusMaster()
    {
        bool changed;
        lock (_busMasterLock)
        {
            bool now = IsBusMaster;
            changed = now != _busMastering;
            _busMastering = now;
            if (Dma is not null)
            {
                Dma.Enabled = now;
            }
        }

        if (changed)
        {
            _msix?.FunctionChanged();
            _msi?.FunctionChanged();
            OnBusMasterChanged();
        }
    }

    private void Link(PciCapability capability, bool extended)
    {
        if (extended)
        {
            // The extended list starts at 0x100 without a pointer to it.
            if (_lastExtended is not null)
            {
                _space.Redefine(_lastExtended.Offset, uint.MaxValue, _lastExtended.HeaderFor(capability.Offset));
            }

            _lastExtended = capability;
            return;
        }

        if (_lastStandard is null)
        {
            _space.Redefine(ConfigurationRegisters.CapabilitiesPointer, 0xff, (uint)capability.Offset);
            _space.Redefine(ConfigurationRegisters.Command, (uint)PciStatus.CapabilitiesList << 16, (uint)PciStatus.CapabilitiesList << 16);
        }
        else
        {
            _space.Redefine(_lastStandard.Offset, 0xffff, _lastStandard.HeaderFor(capability.Offset));
        }

        _lastStandard = capability;
    }

    private void ThrowIfSealed()
    {
        if (_sealed)
        {
            throw new InvalidOperationException($"{Name}: BARs and capabilities are added before the function joins a bus");
        }
    }
}
