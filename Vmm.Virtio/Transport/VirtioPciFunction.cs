using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Microsoft.Extensions.Logging;
using Vmm.DeviceModel.Diagnostics;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.State;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Transport;

/// <summary>A virtio device on PCI: a function that carries a <see cref="VirtioDevice"/> (virtio 1.2, 4.1).</summary>
/// <remarks>
/// Make it, add it to a <see cref="Vmm.Pci.Host.PciBus"/>, and the guest does the rest. The function owns the device: disposing the
/// function (once it is on no bus) stops and disposes the device. Nothing that a driver writes throws or stops the process; what is ignored is
/// counted in <see cref="CountOf"/>.
/// </remarks>
public sealed class VirtioPciFunction : PciFunction, IDeviceCounters
{
    private readonly VirtioPciInterrupts _interrupts;
    private readonly VirtioTransport _transport;
    private readonly IsrRegister _isr;

    /// <summary>Makes a function around a device.</summary>
    /// <param name="device">The device; owned by the function from now on.</param>
    /// <param name="dma">Guest memory as this function reaches it; its gate follows Bus Master Enable, so no two functions share one.</param>
    /// <param name="options">Vectors, features and names.</param>
    /// <exception cref="ArgumentException">
    /// The device has no valid queue sizes or shared memory regions, its capabilities take more than 192 bytes, or an option is out of range.
    /// </exception>
    public VirtioPciFunction(VirtioDevice device, DmaTarget dma, VirtioPciOptions? options = null)
        : base(IdentityOf(device), FunctionOptionsOf(device, dma, options ?? new VirtioPciOptions()))
    {
        options ??= new VirtioPciOptions();
        Device = device;
        CheckQueues(device);
        int vectors = options.Vectors ?? Math.Min(device.QueueSizes.Count + 1, MsixCapability.MaximumVectors);
        if (vectors is < 0 or > MsixCapability.MaximumVectors)
        {
            throw new ArgumentException($"a function has 0 to {MsixCapability.MaximumVectors} MSI-X vectors, not {vectors}", nameof(options));
        }

        var layout = new VirtioPciLayout(device, vectors);
        MsixCapability? msix = vectors == 0
            ? null
            : new MsixCapability(vectors, VirtioPciLayout.Bar, layout.TableOffset, VirtioPciLayout.Bar, layout.PendingOffset);
        _isr = new IsrRegister(Intx);
        ILogger logger = GuardedLogger.Create<VirtioPciFunction>(options.LoggerFactory);
        _interrupts = new VirtioPciInterrupts(Name, msix, _isr, options.LoggerFactory);
        var host = new VirtioPciHost(this, layout, _interrupts);
        _transport = new VirtioTransport(device, host, options.OfferedFeatures(device), options.RequiredFeatures, Name, logger)
        {
            ActivationChanged = active => ActivationChanged?.Invoke(active),
        };
        AddStructures(layout, msix, _isr, options);
        AddSharedMemory(new SharedMemoryLayout(device));
        AddPower();
    }

    /// <summary>
    /// Raised with true when a driver has started the device, and with false when one that ran was stopped: by a reset, by FAILED, or at the end. On
    /// the thread that does it, mostly a vCPU's, under the transport's lock: whoever listens returns at once, throws nothing and calls nothing here.
    /// </summary>
    public event Action<bool>? ActivationChanged;

    /// <summary>The device that is carried.</summary>
    public VirtioDevice Device { get; }

    /// <summary>The device status register.</summary>
    public DeviceStatus DeviceStatus => _transport.Status;

    /// <summary>Feature bits that a driver may acknowledge.</summary>
    public ulong OfferedFeatures => _transport.OfferedFeatures;

    /// <summary>Feature bits in force; 0 before FEATURES_OK.</summary>
    public ulong NegotiatedFeatures => _transport.NegotiatedFeatures;

    /// <summary>How often drivers have reset a queue by itself (VIRTIO_F_RING_RESET) since the function was made.</summary>
    public long QueueResets => _transport.QueueResets;

    /// <summary>Exceptions of the device's own code; they are logged with their stack, at a limited rate.</summary>
    public long DeviceFailures => _transport.DeviceFailures;

    /// <summary>How often drivers got something wrong since the function was made.</summary>
    /// <param name="mistake">What.</param>
    public long CountOf(GuestMistake mistake) => _transport.CountOf(mistake);

    /// <summary>
    /// The device's, if it counts, and the function's own: <c>msix_messages</c> that were sent (those that the hypervisor sends by eventfd not among
    /// them), <c>queue_resets</c>, <c>device_failures</c> and <c>guest_mistakes</c>.
    /// </summary>
    public IReadOnlyList<DeviceCounter> Counters
    {
        get
        {
            long messages = 0;
            if (Msix is { } msix)
            {
                for (int i = 0; i < msix.VectorCount; i++)
                {
                    messages += msix[i].Sent;
                }
            }

            long mistakes = 0;
            foreach (GuestMistake mistake in Enum.GetValues<GuestMistake>())
            {
                mistakes += CountOf(mistake);
            }

            return
            [
                .. (Device as IDeviceCounters)?.Counters ?? [],
                new DeviceCounter("msix_messages", messages),
                new DeviceCounter("queue_resets", QueueResets),
                new DeviceCounter("device_failures", DeviceFailures),
                new DeviceCounter("guest_mistakes", mistakes),
            ];
        }
    }

    /// <inheritdoc/>
    protected override IReadOnlyList<IComponent> Components => [_isr, _transport.State, Device];

    /// <summary>
    /// Begins no new request, waits until none is in flight, and stops the queues where they stand, for the state to be saved. Idempotent. Not from
    /// inside an access.
    /// </summary>
    /// <param name="limit">How long to wait for requests in flight, at most.</param>
    /// <returns>False, with nothing changed, if requests are in flight still.</returns>
    public bool TryPause(TimeSpan limit) => _transport.TryPause(limit);

    /// <summary>Goes on after <see cref="TryPause"/>, or after the state was restored: each queue is looked at, and its driver told once.</summary>
    public void Resume() => _transport.Resume();

    /// <inheritdoc/>
    protected override void OnReset() => _transport.ScheduleReset();

    /// <inheritdoc/>
    protected override void OnBusMasterChanged()
    {
        if (IsBusMaster)
        {
            _transport.KickAll();
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            _transport.Dispose();
            _interrupts.Dispose();
        }
    }

    private static PciIdentity IdentityOf(VirtioDevice device)
    {
        ArgumentNullException.ThrowIfNull(device);
        ushort id = (ushort)(VirtioPciIds.DeviceBase + (ushort)device.DeviceType);
        return new PciIdentity
        {
            VendorId = VirtioPciIds.Vendor,
            DeviceId = id,
            RevisionId = VirtioPciIds.Revision,
            ClassCode = ClassOf(device.DeviceType),
            SubsystemVendorId = VirtioPciIds.Vendor,
            SubsystemId = id,
        };
    }

    private static uint ClassOf(VirtioDeviceType type) => type switch
    {
        VirtioDeviceType.Net => 0x020000, // Ethernet controller
        VirtioDeviceType.Block => 0x018000, // mass storage controller, other
        VirtioDeviceType.Console => 0x078000, // communication controller, other
        _ => 0x00ff00, // a class of its own
    };

    private static PciFunctionOptions FunctionOptionsOf(VirtioDevice device, DmaTarget dma, VirtioPciOptions options)
    {
        ArgumentNullException.ThrowIfNull(dma);
        return new PciFunctionOptions
        {
            Name = options.Name ?? $"virtio-{device.DeviceType.ToString().ToLowerInvariant()}",
            Pin = InterruptPin.A,
            Dma = dma,
            ExtendedConfigurationSpace = true,
        };
    }

    private static void CheckQueues(VirtioDevice device)
    {
        for (int i = 0; i < device.QueueSizes.Count; i++)
        {
            ushort size = device.QueueSizes[i];
            if (size is 0 or > Queues.Virtqueue.MaximumSize || (size & (size - 1)) != 0)
            {
                throw new ArgumentException(
                    $"queue {i}: the maximum size is a power of two from 1 to {Queues.Virtqueue.MaximumSize}, not {size}", nameof(device));
            }
        }
    }

    private void AddStructures(VirtioPciLayout layout, MsixCapability? msix, IsrRegister isr, VirtioPciOptions options)
    {
        var regions = new List<PciBarRegion>
        {
            new("common", layout.CommonOffset, CommonConfigurationOffset.Length, CommonConfigurationRegisters.Map.Bind(_transport.Registers)),
            new("isr", layout.IsrOffset, 1, new IsrRegion(isr)),
            new("notify", layout.NotifyOffset, layout.NotifyLength, new NotifyRegion(_transport)),
        };
        if (Device.Registers is { Length: not 0 } registers)
        {
            regions.Add(new PciBarRegion("device", layout.DeviceOffset, layout.DeviceLength, new DeviceConfigurationRegion(_transport, registers)));
        }

        if (msix is not null)
        {
            regions.Add(msix.CreateTableRegion());
            regions.Add(msix.CreatePendingRegion());
        }

        AddBar(new PciBar(VirtioPciLayout.Bar, options.Use64BitBar ? PciBarKind.Memory64 : PciBarKind.Memory32, layout.Size, regions));
        Span<byte> multiplier = stackalloc byte[4];
        BinaryPrimitives.WriteUInt32LittleEndian(multiplier, NotifyRegion.Multiplier);
        AddStructure(VirtioPciCapabilityType.CommonConfiguration, layout.CommonOffset, CommonConfigurationOffset.Length);
        AddStructure(VirtioPciCapabilityType.Notification, layout.NotifyOffset, layout.NotifyLength, multiplier);
        AddStructure(VirtioPciCapabilityType.Isr, layout.IsrOffset, 1);
        if (layout.DeviceLength != 0)
        {
            AddStructure(VirtioPciCapabilityType.DeviceConfiguration, layout.DeviceOffset, layout.DeviceLength);
        }

        AddCapability(new ConfigurationWindowCapability(_transport));
        if (msix is not null)
        {
            AddCapability(msix);
        }
    }

    private void AddSharedMemory(SharedMemoryLayout layout)
    {
        if (layout.Places.Count == 0)
        {
            return;
        }

        AddBar(layout.CreateBar());
        foreach ((SharedMemoryRegion region, ulong offset) in layout.Places)
        {
            AddCapability(new VirtioStructureCapability(region.Id, SharedMemoryLayout.Bar, offset, region.Length));
        }
    }

    private void AddPower()
    {
        // Drivers that do not save and restore what a soft reset loses are common; in D3hot everything is kept here.
        AddCapability(new PowerManagementCapability(noSoftReset: true));

        // The standard list has 192 bytes. The structures have to be in it, so with several shared memory regions this one has no room.
        if (Device.SharedMemory.Count <= 1)
        {
            AddCapability(new PciExpressCapability(functionLevelReset: true));
        }
    }

    private void AddStructure(VirtioPciCapabilityType type, uint offset, uint length, ReadOnlySpan<byte> extra = default)
    {
        AddCapability(new VirtioStructureCapability(type, VirtioPciLayout.Bar, offset, length, extra));
    }
}
