using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Host;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>
/// One PCI function, with a type-0 header unless it is a bridge: identity, command and status, BARs, capabilities and the interrupt pin.
/// </summary>
/// <remarks>
/// <para>
/// Set-up, by one thread: construct, <see cref="AddBar"/> and <see cref="AddCapability"/> (a derived class does so in its constructor), then
/// <see cref="PciBus.Add"/>, which seals the layout. From then on configuration accesses come from any vCPU, several at once.
/// </para>
/// <para>
/// A register changes by one compare-and-swap and without a lock; what follows from it (decoding, bus mastering, the pin, MSI-X) is computed
/// from the registers as they are when it is applied, so that of two changes that race the last application agrees with the registers.
/// Decoding is changed after the access has ended (<see cref="Vmm.DeviceModel.Bus.AccessDomain.RunAfterAccess"/>).
/// A hook of the device that throws is caught, counted and logged; the function and all others go on (<see cref="Faults"/>).
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

    /// <summary>The interrupt pin.</summary>
    public IntxPin Intx { get; }

    /// <summary>What the device masters the bus with, or null.</summary>
    public DmaTarget? Dma { get; }

    /// <summary>The Command register.</summary>
    public PciCommand Command => (PciCommand)(_space.ReadRegister(ConfigurationRegisters.Command) & 0xffff);

    /// <summary>The Status register.</summary>
    public PciStatus Status => (PciStatus)(_space.ReadRegister(ConfigurationRegisters.Command) >> 16);

    /// <summary>
    /// True while the device may use DMA and send messages: Bus Master Enable is set, the function is in D0, and the bridges above forward.
    /// </summary>
    public bool IsBusMaster =>
        (Command & PciCommand.BusMaster) != 0 && PowerState == PciPowerState.D0 && (Bus is not { } bus || bus.ForwardsUpstream);

    /// <summary>A configuration read of the guest, of any capability and register, at once.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>; outside the space reads are all-ones.</param>
    /// <param name="width">1, 2 or 4.</param>
    public virtual uint ReadConfiguration(int offset, int width)
    {
        if (!IsAccess(offset, width))
        {
            return uint.MaxValue;
        }

        var hook = _readHooks[offset >> 2];
        return hook is null ? _space.Read(offset, width) : ReadHandled(hook, offset, width);
    }

    /// <summary>Copies the registers for a person to look at; nothing changes, however often that is done.</summary>
    /// <remarks>
    /// As they are stored: no read hook runs, and what only a hook knows (pending bits of MSI, the data of a window) is copied as stored. A function
    /// whose registers are elsewhere reads them there.
    /// </remarks>
    /// <param name="destination">As long as the configuration space.</param>
    public virtual void CopyConfiguration(Span<byte> destination) => _space.CopyTo(destination);

    /// <summary>A configuration write of the guest. What it sets off has happened when the access that carries it has ended.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>; outside the space writes are dropped.</param>
    /// <param name="width">1, 2 or 4.</param>
    /// <param name="value">The value in the low bytes.</param>
    public virtual void WriteConfiguration(int offset, int width, uint value)
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

    /// <summary>
    /// Takes the whole function to its power-on state: registers, interrupts, decoding, and the device through <see cref="OnReset"/>.
    /// </summary>
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
        CallHook(static function => function.OnReset(), 0);
    }

    /// <summary>Takes the function off its bus, as <see cref="PciBus.Remove"/> does, and releases what it holds. Not from inside an access.</summary>
    /// <exception cref="InvalidOperationException">
    /// Other functions have to go first: it is function 0 of a device that has others, or a bridge with something behind it. Nothing has changed.
    /// </exception>
    public void Dispose()
    {
        if (!_disposed)
        {
            Bus?.RemoveForDisposal(this);
            WaitForBlockingCalls();
            _disposed = true;
            Dispose(true);
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Resets the function when the access that the calling thread may be in has ended.</summary>
    protected internal void ScheduleReset()
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

    /// <summary>Releases what the function holds. It is on no bus any more.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
        if (!disposing)
        {
            return;
        }

        foreach (var capability in _capabilities)
        {
            (capability as IDisposable)?.Dispose();
        }
    }

    /// <summary>The function was reset: registers, interrupts and BARs are at their power-on values, the device follows here.</summary>
    /// <remarks>
    /// On the thread of the vCPU whose access asked for it, after that access has ended and before the vCPU goes on; or on the thread that calls
    /// <see cref="Reset"/> or <see cref="Vmm.Pci.Host.PciHostBridge.Reset"/>, or takes the function out of a slot. No lock of the function is held.
    /// Accesses of other vCPUs may come meanwhile, and another reset with them.
    /// </remarks>
    protected virtual void OnReset()
    {
    }

    /// <summary>
    /// The device may master the bus now, or may not any more; <see cref="IsBusMaster"/> says to what. A device that waited for it goes on here.
    /// </summary>
    /// <remarks>
    /// On the thread of the vCPU that wrote Command, a power state or a bridge's register, inside its access: what waits or changes an address space
    /// goes to <see cref="Vmm.DeviceModel.Bus.AccessDomain.RunAfterAccess"/>. Or on the thread of a reset, or of whoever adds the function to a bus.
    /// No lock of the function is held; accesses and a further change may come meanwhile, on other threads.
    /// </remarks>
    protected virtual void OnBusMasterChanged()
    {
    }

    /// <summary>MSI-X was enabled, disabled, masked or unmasked as a whole, or MSI was enabled or disabled.</summary>
    /// <remarks>
    /// On the thread of the vCPU that wrote the control word, inside its access, or of whoever calls
    /// <see cref="Vmm.Pci.Capabilities.MessageCapability.Disable"/>; not at a reset, which <see cref="OnReset"/> tells. No lock of the function is
    /// held; accesses and a further change may come meanwhile, on other threads.
    /// </remarks>
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

    /// <summary>MSI-X vectors were written in the table: message, mask, or both. No vector's gate is held.</summary>
    /// <param name="first">Index of the first one.</param>
    /// <param name="count">1 or 2.</param>
    protected internal virtual void OnVectorsWritten(int first, int count)
    {
    }

    /// <summary>The function is on a bus, its capabilities too; configuration accesses do not reach it yet. Throwing keeps it off the bus.</summary>
    protected virtual void OnAttached()
    {
    }

    /// <summary>
    /// The function leaves its bus: no configuration access reaches it any more, its BARs still decode and its vectors are still routed.
    /// </summary>
    protected virtual void OnLeaving()
    {
    }

    /// <summary>
    /// BARs decode where they did not, or not where they did; <see cref="GetMappedAddress"/> tells. Called under the mapping lock, outside of any
    /// access.
    /// </summary>
    protected virtual void OnDecodingChanged()
    {
    }

    /// <summary>True for an aligned access of 1, 2 or 4 bytes inside the space.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="width">Bytes.</param>
    protected bool IsAccess(int offset, int width)
    {
        return width is 1 or 2 or 4 && (offset & (width - 1)) == 0 && (uint)offset < (uint)_space.Length;
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
            CallHook(static function => function.OnBusMasterChanged(), ConfigurationRegisters.Command);
        }
    }

    private void ThrowIfSealed()
    {
        if (_sealed)
        {
            throw new InvalidOperationException($"{Name}: BARs and capabilities are added before the function joins a bus");
        }
    }
}
