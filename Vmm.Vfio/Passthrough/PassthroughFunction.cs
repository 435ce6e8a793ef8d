using System;
using System.Collections.Generic;
using System.Threading;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.State;
using Vmm.Pci;
using Vmm.Pci.Access;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Interrupts;
using Vmm.Pci.Spec;

namespace Vmm.Vfio.Passthrough;

/// <summary>
/// A PCI function of the guest that is a real device of the host: BARs, interrupts and configuration space over an <see cref="IPciDeviceBackend"/>.
/// </summary>
/// <remarks>
/// <para>
/// <see cref="Attach"/> takes the device and owns it from then on; the function goes on a bus like any other. Taking it off the bus, or disposing it,
/// lets go in the order interrupts, bus mastering, reset, mappings, device (VFIO-10). DMA of guest memory is not set up here: it is mapped in
/// <see cref="IPciDeviceBackend.Dma"/> by whoever owns the memory, before the function is on a bus.
/// </para>
/// <para>
/// The device decodes its own BARs all the time it is attached, at the host's addresses; the guest's Command and BARs decide what is visible of them.
/// Threading is that of <see cref="PciFunction"/>. Lock order: the mapping lock, then the command lock and the interrupt lock, which are never held
/// together.
/// </para>
/// </remarks>
public sealed partial class PassthroughFunction : PciFunction
{
    private readonly IPciDeviceBackend _backend;
    private readonly DeviceAccess _access;
    private readonly DeviceBars _bars;
    private readonly PassthroughInterrupts _interrupts;
    private readonly PeerMappings? _peers;
    private readonly PassthroughFunctionOptions _options;
    private readonly ILogger _logger;
    private readonly TokenBucket _reports = new(burst: 3);
    private readonly TokenBucket _errorReports = new(burst: 3);
    private readonly TokenBucket _requestReports = new(burst: 1, perSecond: 0.1);
    private readonly HostDeviceComponent _host;
    private readonly Action _followBusMaster;
    private DeviceEvents? _events;
    private bool _released;
    private long _failedResets;

    private PassthroughFunction(
        IPciDeviceBackend backend, DeviceLayout layout, MsixCapability? msix, DeviceBars bars, DeviceAccess access,
        PassthroughFunctionOptions options, ILogger logger)
        : base(layout.Identity, new PciFunctionOptions
        {
            Name = options.Name ?? backend.Name,
            Pin = layout.Pin,

            // Whatever the device answers itself waits for it, and for a reset of it that is under way.
            IsConfigurationBlocking = true,
            ExtendedConfigurationSpace = layout.Image.Length == PciConfigurationSpace.ExpressLength,
        })
    {
        (_backend, _bars, _access, _options, _logger) = (backend, bars, access, options, logger);
        Layout = layout;
        _host = new HostDeviceComponent(this);
        _followBusMaster = FollowBusMaster;
        _emulated = new uint[ConfigurationSpace.Length / 4];
        _withheld = new uint[ConfigurationSpace.Length / 4];
        foreach (PciBar bar in bars.Bars)
        {
            AddBar(bar);
            _decode |= bar.Kind == PciBarKind.Io ? PciCommand.IoSpace : PciCommand.MemorySpace;
        }

        EmulateHeader();
        PlaceCapabilities(msix);
        LinkExtendedCapabilities();
        _interrupts = new PassthroughInterrupts(this, backend, layout, logger);
        _peers = (options.PeerToPeer || options.GpuDirectClique is not null) && backend.Dma.CanMapDevices
            ? new PeerMappings(this, backend.Dma, logger)
            : null;
    }

    /// <inheritdoc/>
    protected override IReadOnlyList<IComponent> Components => [_host];

    /// <inheritdoc/>
    /// <remarks>The state inside a device of the host stays there.</remarks>
    public override SavedState Save() => throw new InvalidOperationException($"{Name} is a device of the host, whose state cannot be saved");

    /// <summary>The device is given to guests as this describes.</summary>
    public DeviceLayout Layout { get; }

    /// <summary>The device's name on the host.</summary>
    public string DeviceName => _backend.Name;

    /// <summary>The address of the physical function whose virtual function the device is (SR-IOV), or null.</summary>
    public string? PhysicalFunction => _backend.Identity?.PhysicalFunction;

    /// <summary>Where the device masters memory, and other devices of the same mapper reach its BARs.</summary>
    public IDmaMapper DmaMapper => _backend.Dma;

    /// <summary>The clique of GPUs that it belongs to, or null.</summary>
    public int? GpuDirectClique => _options.GpuDirectClique;

    /// <summary>How each of the <see cref="PciFunction.Bars"/> is given to the guest, in the same order.</summary>
    public IReadOnlyList<BarPlan> BarPlans => _bars.Plans;

    /// <summary>How the device interrupts now.</summary>
    public PassthroughInterruptMode InterruptMode => _interrupts.Mode;

    /// <summary>How many messages or MSI-X vectors the device signals now.</summary>
    public int SignallingVectors => _interrupts.SignallingCount;

    /// <summary>How often interrupts could not be switched or added as the guest wanted.</summary>
    public long FailedInterrupts => _interrupts.Failures;

    /// <summary>Reads that the device did not answer: all-ones (VFIO-13).</summary>
    public long FailedReads => _access.FailedReads;

    /// <summary>Writes that the device did not take: dropped (VFIO-13).</summary>
    public long FailedWrites => _access.FailedWrites;

    /// <summary>How often the device was to be reset and could not be.</summary>
    public long FailedResets => Volatile.Read(ref _failedResets);

    /// <summary>Parts of BARs that other devices reach (VFIO-11).</summary>
    public int PeerMappingCount => _peers?.Count ?? 0;

    /// <summary>Parts of BARs that other devices were to reach and do not.</summary>
    public long RefusedPeerMappings => _peers?.Refused ?? 0;

    /// <summary>The device has a pin, and the machine can deliver it.</summary>
    internal bool HasPin => Intx.Pin != InterruptPin.None && Bus is { HasResampledLines: true };

    /// <summary>Takes a device for a guest, as its backend has just opened it: reads what it is, maps what can be mapped.</summary>
    /// <param name="backend">The device; the function disposes it. After a failure it is the caller's, as it was.</param>
    /// <param name="options">How the guest gets it.</param>
    /// <exception cref="VfioException">The device does not answer, is not an endpoint, or refuses a step; everything is undone.</exception>
    /// <exception cref="HostException">The process is out of descriptors; everything is undone.</exception>
    /// <exception cref="ArgumentException">Options that the device has nothing for.</exception>
    public static PassthroughFunction Attach(IPciDeviceBackend backend, PassthroughFunctionOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(backend);
        options ??= new PassthroughFunctionOptions();
        if (options.GpuDirectClique is < 0 or > 15)
        {
            throw new ArgumentException($"a clique is 0 to 15, not {options.GpuDirectClique}", nameof(options));
        }

        ILogger logger = GuardedLogger.Create<PassthroughFunction>(options.LoggerFactory);
        var access = new DeviceAccess(backend);
        DeviceOpening.ResetWithBus(backend, logger);
        DeviceLayout layout = DeviceOpening.ReadLayout(backend, access);
        foreach (string remark in layout.Remarks)
        {
            Log.DeviceRemark(logger, backend.Name, remark);
        }

        MsixCapability? msix = layout.Msix is { } place
            ? new MsixCapability(place.VectorCount, place.TableBar, place.TableOffset, place.PendingBar, place.PendingOffset)
            : null;
        var bars = DeviceBars.Create(layout, msix, backend, access, options, logger);
        try
        {
            CheckPeers(backend, layout, bars, options, logger);
            var function = new PassthroughFunction(backend, layout, msix, bars, access, options, logger);
            function._events = new DeviceEvents(backend, function.OnDeviceError, function.OnRemovalRequested, options.LoggerFactory, logger);
            function.PushCommand(always: true);
            return function;
        }
        catch
        {
            bars.Dispose();
            throw;
        }
    }

    /// <summary>A clique tells the guest that other devices reach this one: it is refused where they would not (VFIO-11).</summary>
    private static void CheckPeers(
        IPciDeviceBackend backend, DeviceLayout layout, DeviceBars bars, PassthroughFunctionOptions options, ILogger logger)
    {
        if (options.GpuDirectClique is not null)
        {
            string? reason = CliqueCapability.FindRoom(layout) < 0 ? "its capability list is empty or leaves no room for another capability"
                : !backend.Dma.CanMapDevices ? "an iommufd cannot map BARs for other devices; give the device through its group"
                : bars.Plans.TrueForAll(static plan => plan.MappedLength == 0)
                    ? "nothing of its BARs is mapped, so that other devices would not reach it"
                : null;
            if (reason is not null)
            {
                throw new VfioException("x_nv_gpudirect_clique", backend.Name, 0, reason);
            }
        }
        else if (options.PeerToPeer && !backend.Dma.CanMapDevices)
        {
            Log.DeviceRemark(logger, backend.Name, "other devices do not reach its BARs: an iommufd cannot map them");
        }
    }

    /// <summary>The guest asked for a reset of the function: it happens when the access that asked has ended.</summary>
    internal void ResetByGuest() => ScheduleReset();

    /// <inheritdoc/>
    protected override void OnAttached()
    {
        // A pin that nobody can deliver is not shown: a driver would wait for it.
        uint pin = HasPin ? (uint)Intx.Pin : 0;
        ConfigurationSpace.Redefine(ConfigurationRegisters.InterruptLine, 0xff00, pin << 8);
        if (Intx.Pin != InterruptPin.None && pin == 0)
        {
            Log.DeviceRemark(_logger, Name, "its interrupt pin is hidden: the machine has no lines that tell of the guest's end-of-interrupt");
        }

        _released = false;
        _interrupts.Start();
        PushCommand(always: true);
    }

    /// <inheritdoc/>
    protected override void OnLeaving() => Quiesce();

    /// <inheritdoc/>
    protected override void OnLeft() => ResetDevice();

    /// <inheritdoc/>
    protected override void OnDecodingChanged() => _peers?.Refresh();

    /// <inheritdoc/>
    protected override void OnInterruptModeChanged() => _interrupts.Apply();

    /// <inheritdoc/>
    protected override void OnVectorsWritten(int first, int count) => _interrupts.ApplyVectors(first, count);

    /// <inheritdoc/>
    protected override void OnBusMasterChanged()
    {
        // Also when a bridge's register has changed it, whose accesses do not count as waiting: what is asked of the host comes after the access.
        if (Bus is { } bus)
        {
            bus.RunAfterAccess(_followBusMaster);
        }
        else
        {
            FollowBusMaster();
        }
    }

    /// <inheritdoc/>
    protected override void OnReset()
    {
        _interrupts.Apply();
        ResetDevice();
        PushCommand(always: true);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            if (!_released)
            {
                Quiesce();
                ResetDevice();
            }

            _events?.Dispose();
            _interrupts.Dispose();
            _bars.Dispose();
            _backend.Dispose();
        }
    }

    /// <summary>Has the device do nothing on its own any more (VFIO-10): interrupts off, bus master off; the reset that follows may take long.</summary>
    private void Quiesce()
    {
        _interrupts.Stop();
        _released = true;
        PushCommand(always: true);
    }

    private void FollowBusMaster()
    {
        PushCommand();
        _interrupts.Apply();
    }

    private void ResetDevice()
    {
        if (DeviceOpening.TryReset(_backend) is { } reason)
        {
            Interlocked.Increment(ref _failedResets);
            if (_reports.TryTake(out _))
            {
                Log.ResetRefused(_logger, Name, reason);
            }
        }
    }

    private void OnDeviceError()
    {
        if (_errorReports.TryTake(out _))
        {
            Log.ErrorReported(_logger, Name);
        }

        _options.ErrorReported?.Invoke(this);
    }

    private void OnRemovalRequested()
    {
        if (_requestReports.TryTake(out _))
        {
            Log.RemovalRequested(_logger, Name);
        }

        _options.RemovalRequested?.Invoke(this);
    }
}
