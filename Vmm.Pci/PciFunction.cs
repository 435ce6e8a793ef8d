using System;
using System.Collections.Generic;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Pci;

/// <summary>
/// One PCI function, with a type-0 header unless it is a bridge: identity, command and status, BARs, capabilities and the interrupt pin.
/// </summary>
/// <remarks>
/// <para>
/// Set-up, by one thread: construct, <see cref="AddBar"/> and <see cref="AddCapability"/> (a derived class does so in its constructor), then
/// <see cref="Vmm.Pci.Host.PciBus.Add"/>, which seals the layout. From then on configuration accesses come from any vCPU, several at once.
/// </para>
/// <para>
/// A register changes by one compare-and-swap and without a lock; what follows from it (decoding, bus mastering, the pin, MSI-X) is computed
/// from the registers as they are when it is applied, so that of two changes that race the last application agrees with the registers.
/// Decoding is changed after the access has ended (<see cref="Vmm.DeviceModel.Epochs.AccessDomain.RunAfterAccess"/>).
/// A hook of the device that throws is caught, counted and logged; the function and all others go on (<see cref="Faults"/>).
/// Lock order: the mapping lock, then the address space's; the bus master lock and the pin's lock are leaves apart from the wire's.
/// </para>
/// </remarks>
public partial class PciFunction : IDisposable
{
    private readonly PciConfigurationSpace _space;
    private readonly CapabilityList _capabilities;
    private readonly PciCapability?[] _writeHooks;
    private readonly PciCapability?[] _readHooks;
    private readonly BarRegisters _bars;
    private readonly BusMastering _mastering;
    private readonly FunctionReports _reports;

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
        BlockingConfiguration = options.IsConfigurationBlocking ? new BlockingCalls() : null;
        _space = new PciConfigurationSpace(
            options.ExtendedConfigurationSpace ? PciConfigurationSpace.ExpressLength : PciConfigurationSpace.ConventionalLength);
        FunctionHeader.Define(_space, identity, options.Pin, isBridge);
        _mastering = new BusMastering(Dma, () => IsBusMaster);
        _capabilities = new CapabilityList(_space, this, _mastering);
        _writeHooks = _capabilities.WriteHooks;
        _readHooks = _capabilities.ReadHooks;
        _bars = new BarRegisters(_space, Name);
        Decoding = new BarMapper(_bars, this);
        Intx = new IntxPin(_space, _capabilities, options.Pin);
        _reports = new FunctionReports(this);
        Names = new FunctionNames(this);
        if (Dma is not null)
        {
            Dma.Enabled = false;
        }
    }

    /// <summary>What the function says it is.</summary>
    public PciIdentity Identity { get; }

    /// <summary>Shown in logs.</summary>
    public string Name { get; }

    /// <summary>The back-end in words, for who looks at the function: <c>disk.img, read-only</c>. Set by its owner; null for nothing.</summary>
    public string? Description { get; set; }

    /// <summary>The bus that the function is on, or null.</summary>
    public IPciBus? Bus => _bus;

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
        (Command & PciCommand.BusMaster) != 0 && PowerState == PciPowerState.D0 && (_bus is not { } bus || bus.ForwardsUpstream);

    /// <summary>The power state; D0 for a function without power management.</summary>
    public PciPowerState PowerState => _capabilities.PowerState;

    /// <summary>The BARs, by index.</summary>
    public IReadOnlyList<PciBar> Bars => _bars.Bars;

    /// <summary>How often the hypervisor refused to map a BAR where the guest had put it; such a BAR does not decode (PCI-6).</summary>
    public long FailedMappings => Decoding.Failures;

    /// <summary>The capabilities in the order in which they were added.</summary>
    public IReadOnlyList<PciCapability> Capabilities => _capabilities.All;

    /// <summary>The MSI-X capability, or null.</summary>
    public MsixCapability? Msix => _capabilities.Msix;

    /// <summary>The MSI capability, or null.</summary>
    public MsiCapability? Msi => _capabilities.Msi;

    /// <summary>True while MSI-X is the interrupt mechanism and INTx is silent.</summary>
    public bool IsMsixEnabled => _capabilities.IsMsixEnabled;

    /// <summary>True while interrupts are messages (MSI-X or MSI) and INTx is silent.</summary>
    public bool UsesMessages => _capabilities.UsesMessages;

    /// <summary>
    /// How often a hook of the device, a capability or, reached by configuration space, a BAR region threw (BUS-8). Such a read gives all-ones;
    /// after such a write everything else that follows from it is done. No other function notices. A region that throws in a memory or port
    /// access is counted by <see cref="Vmm.DeviceModel.Bus.AddressSpace.HandlerFaults"/> alone.
    /// </summary>
    public long Faults => _reports.Faults;

    /// <summary>Names of the registers in configuration space.</summary>
    internal IRegionNames Names { get; }

    /// <summary>The configuration accesses that are in flight, where they may wait; null where they may not.</summary>
    internal BlockingCalls? BlockingConfiguration { get; }

    /// <summary>The mapping of the BARs into the address spaces.</summary>
    internal BarMapper Decoding { get; }

    /// <summary>How many base address registers the header has.</summary>
    internal virtual int BarRegisters => 6;

    /// <summary>A configuration read of the guest, of any capability and register, at once.</summary>
    /// <param name="offset">First byte, a multiple of <paramref name="width"/>; outside the space reads are all-ones.</param>
    /// <param name="width">1, 2 or 4.</param>
    public virtual uint ReadConfiguration(int offset, int width)
    {
        if (!IsAccess(offset, width))
        {
            return uint.MaxValue;
        }

        PciCapability? hook = _readHooks[offset >> 2];
        return hook is null ? _space.Read(offset, width) : _capabilities.Read(hook, offset, width);
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

        ConfigurationWrite write = _space.Write(offset, width, value);
        PciCapability? hook = _writeHooks[offset >> 2];
        if (hook is not null)
        {
            _capabilities.Written(hook, write);
        }
        else if (write.Old != write.New)
        {
            HeaderChanged(write.Offset, write.Changed, write.New);
        }
    }

    /// <summary>Adds a BAR.</summary>
    /// <param name="bar">A BAR of no function.</param>
    /// <exception cref="ArgumentException">One of its registers is taken.</exception>
    /// <exception cref="InvalidOperationException">The function has been on a bus.</exception>
    public void AddBar(PciBar bar)
    {
        ArgumentNullException.ThrowIfNull(bar);
        ThrowIfSealed();
        _bars.Add(bar, BarRegisters);
        Decoding.Add(bar);
    }

    /// <summary>The address in a BAR's registers, whether or not it decodes.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <exception cref="ArgumentException">No such BAR.</exception>
    public ulong GetBarAddress(int index) => _bars.GetAddress(_bars.Get(index));

    /// <summary>Programs a BAR's registers, as firmware does.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <param name="address">A multiple of the BAR's size.</param>
    /// <exception cref="ArgumentException">No such BAR, or an address that the registers cannot hold.</exception>
    public void SetBarAddress(int index, ulong address)
    {
        _bars.SetAddress(_bars.Get(index), address);
        Decoding.Schedule();
    }

    /// <summary>Where a BAR decodes now, or null if it does not.</summary>
    /// <param name="index">Index of the BAR.</param>
    /// <exception cref="ArgumentException">No such BAR.</exception>
    public ulong? GetMappedAddress(int index) => Decoding.GetMappedAddress(_bars.Get(index));

    /// <inheritdoc/>
    public ulong ReadBar(int index, ulong offset, int width) => Decoding.Read(index, offset, width);

    /// <inheritdoc/>
    public void WriteBar(int index, ulong offset, int width, ulong value) => Decoding.Write(index, offset, width, value);

    /// <summary>
    /// Adds a doorbell over a region of a BAR; it follows the BAR until the result is disposed. Inside an access, the change takes effect
    /// when the access has ended. If the hypervisor has no doorbell, writes reach the region's handler.
    /// </summary>
    /// <param name="name">For logs and counters, for example <c>queue0</c>.</param>
    /// <param name="barIndex">Index of the BAR.</param>
    /// <param name="offset">Offset in the BAR, in bytes; it lies in a region with a handler.</param>
    /// <param name="width">1, 2, 4 or 8 bytes.</param>
    /// <param name="target">Signalled; stays open until the doorbell is gone.</param>
    /// <param name="dataMatch">Only writes of this value count, or null for any.</param>
    /// <exception cref="ArgumentException">No handled region lies there.</exception>
    public IDisposable AddDoorbell(string name, int barIndex, ulong offset, int width, EventFd target, ulong? dataMatch = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        ArgumentNullException.ThrowIfNull(target);
        return Decoding.AddDoorbell(name, _bars.Get(barIndex), offset, width, target, dataMatch);
    }

    /// <summary>Appends a capability to its list.</summary>
    /// <param name="capability">A capability of no function.</param>
    /// <exception cref="ArgumentException">The list overflows, or the function has no extended space.</exception>
    /// <exception cref="InvalidOperationException">The function has been on a bus.</exception>
    public void AddCapability(PciCapability capability)
    {
        ArgumentNullException.ThrowIfNull(capability);
        ThrowIfSealed();
        _capabilities.Add(capability);
        Listen(capability);
    }

    /// <summary>Puts a capability where a real device has it. The function that does so writes the list's pointers itself.</summary>
    /// <param name="capability">A capability of no function, of a kind that the function does not have yet.</param>
    /// <param name="offset">A multiple of 4; the capability ends inside the space.</param>
    /// <param name="next">Offset of the next entry of its list, 0 for none.</param>
    protected void PlaceCapability(PciCapability capability, int offset, int next)
    {
        ArgumentNullException.ThrowIfNull(capability);
        ThrowIfSealed();
        _capabilities.Place(capability, offset, next);
        Listen(capability);
    }

    /// <summary>True for an aligned access of 1, 2 or 4 bytes inside the space.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="width">Bytes.</param>
    protected bool IsAccess(int offset, int width)
    {
        return width is 1 or 2 or 4 && (offset & (width - 1)) == 0 && (uint)offset < (uint)_space.Length;
    }

    private void Listen(PciCapability capability)
    {
        if (capability is MsixCapability msix)
        {
            msix.VectorsWritten = OnVectorsWritten;
        }
    }

    private void HeaderChanged(int register, uint changed, uint value)
    {
        if (register == ConfigurationRegisters.Command)
        {
            CommandChanged((PciCommand)(changed & 0xffff));
        }
        else if (register <= ConfigurationRegisters.ExpansionRom && _bars.MovesDecoding(register, changed | value))
        {
            Decoding.Schedule();
        }

        OnHeaderChanged(register, changed, value);
    }

    private void CommandChanged(PciCommand changed)
    {
        if ((changed & _bars.DecodeBits) != 0)
        {
            Decoding.Schedule();
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
}
