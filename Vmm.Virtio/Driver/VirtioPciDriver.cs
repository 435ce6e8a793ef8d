using System;
using System.Collections.Generic;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <summary>Drives a virtio-pci function from user space: initialisation, split queues, completion, configuration, close (virtio 1.2, chapter 3 and 4.1).</summary>
/// <remarks>One thread at a time; interrupts arrive on any thread and only wake waiters.</remarks>
public sealed partial class VirtioPciDriver : IDisposable
{
    private readonly IPciFunctionAccess _access;
    private readonly VirtioPciStructures _structures;
    private readonly List<IDmaBuffer> _buffers = [];
    private readonly List<DriverQueue> _queues = [];
    private bool _anyEnabled;
    private bool _running;
    private bool _closed;

    private VirtioPciDriver(IPciFunctionAccess access, VirtioPciStructures structures, VirtioDriverOptions options)
    {
        (_access, _structures, Options) = (access, structures, options);
        Common = new CommonConfigurationAccess(access, structures.Common);
    }

    /// <summary>The registers of the common configuration; what the driver programmed is better left alone.</summary>
    public CommonConfigurationAccess Common { get; }

    /// <summary>The features that were agreed on.</summary>
    public ulong Features { get; private set; }

    /// <summary>How completions arrive, known after <see cref="Start"/>.</summary>
    public CompletionMode Completion { get; private set; }

    /// <summary>The queues, after <see cref="Start"/>.</summary>
    public IReadOnlyList<DriverQueue> Queues => _queues;

    /// <summary>Queues that the device has.</summary>
    public int DeviceQueues => Common.NumQueues;

    /// <summary>The device status.</summary>
    public DeviceStatus Status => Common.DeviceStatus;

    /// <summary>True if the device did not stop, so that its memory stays mapped for good (DRV-7).</summary>
    public bool IsAbandoned { get; private set; }

    internal TimeSpan Timeout => Options.Timeout;

    private VirtioDriverOptions Options { get; }

    /// <summary>Finds the structures, resets the device and negotiates features (3.1.1, steps 1 to 6).</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for.</param>
    /// <exception cref="DriverException">The device cannot be driven; FAILED is set where it could be.</exception>
    public static VirtioPciDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(access);
        uint command = access.ReadConfiguration(ConfigurationRegisters.Command, 2);
        access.WriteConfiguration(ConfigurationRegisters.Command, 2, command | (uint)PciCommand.MemorySpace);
        var driver = new VirtioPciDriver(access, VirtioPciStructures.Discover(access), options ?? new VirtioDriverOptions());
        try
        {
            driver.Reset();
            driver.Negotiate();
            return driver;
        }
        catch
        {
            driver.Fail();
            throw;
        }
    }

    /// <summary>Sets interrupts and queues up and starts the device (3.1.1, steps 7 and 8).</summary>
    /// <param name="queues">Queues to set up, from the first.</param>
    /// <param name="maximumSize">Most descriptors a queue; a power of two.</param>
    /// <exception cref="DriverException">The device cannot be started; FAILED is set and nothing is mapped.</exception>
    public void Start(int queues, int maximumSize = 256)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_running || queues < 1 || maximumSize is < 1 or > 32768 || !System.Numerics.BitOperations.IsPow2(maximumSize))
        {
            throw new ArgumentException("a device starts once, with at least one queue of a power of two");
        }

        try
        {
            if (queues > DeviceQueues)
            {
                throw new DriverException("queues", $"{queues} are wanted and the device has {DeviceQueues}");
            }

            SetBusMaster(true);
            int vectors = EnableInterrupts(queues);
            for (int i = 0; i < queues; i++)
            {
                SetUpQueue(i, maximumSize, vectors);
            }

            AddStatus(DeviceStatus.DriverOk);
            if ((Status & (DeviceStatus.NeedsReset | DeviceStatus.DriverOk)) != DeviceStatus.DriverOk)
            {
                throw new DriverException("DRIVER_OK", $"status is {Status}");
            }

            _running = true;
        }
        catch
        {
            Fail();
            throw;
        }
    }

    /// <summary>Maps memory for requests; it is unmapped at the close.</summary>
    /// <param name="length">Bytes.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    public IDmaBuffer MapBuffer(int length)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        IDmaBuffer buffer = _access.MapBuffer(length);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Closes in the order that leaves no memory to a device that still runs: bus master off, reset and wait, interrupts off, unmap (DRV-7).</summary>
    public void Dispose() => Close(failed: false);

    internal void Notify(DriverQueue queue, bool suppressed)
    {
        if (!_running || _closed)
        {
            throw new InvalidOperationException("notifications are for a device that runs");
        }

        if (suppressed)
        {
            return;
        }

        bool data = (Features & TransportFeatures.NotificationData) != 0;
        ulong value = (uint)queue.Index | (data ? (ulong)queue.NextAvailable << 16 : 0);
        _access.WriteBar(_structures.Notification.Bar, _structures.Notification.Offset + queue.NotifyOffset, data ? 4 : 2, value);
    }

    /// <summary>Reading the ISR takes the pin down; a completion after that asserts it again.</summary>
    internal void AcknowledgePin()
    {
        if (Completion == CompletionMode.Pin && _structures.Isr is { } isr)
        {
            _ = _access.ReadBar(isr.Bar, isr.Offset, 1);
            _access.PinServed();
        }
    }

    private void Fail() => Close(failed: true);

    private void Close(bool failed)
    {
        if (_closed)
        {
            return;
        }

        _closed = true;
        _running = false;
        SetBusMaster(false);
        bool stopped = Common.TryReset(Timeout);
        if (failed)
        {
            AddStatus(DeviceStatus.Failed);
        }

        _access.DisableInterrupts();
        if (!stopped && _anyEnabled)
        {
            IsAbandoned = true;
            return;
        }

        foreach (IDmaBuffer buffer in _buffers)
        {
            buffer.Dispose();
        }

        _buffers.Clear();
    }

    private void Reset()
    {
        if (!Common.TryReset(Timeout))
        {
            throw new DriverException("reset", $"status is {Status} after {Timeout} instead of 0");
        }
    }

    private void SetBusMaster(bool on)
    {
        uint command = _access.ReadConfiguration(ConfigurationRegisters.Command, 2) & ~(uint)PciCommand.BusMaster;
        _access.WriteConfiguration(ConfigurationRegisters.Command, 2, command | (on ? (uint)PciCommand.BusMaster : 0));
    }

    private void AddStatus(DeviceStatus bits) => Common.DeviceStatus = Status | bits;
}
