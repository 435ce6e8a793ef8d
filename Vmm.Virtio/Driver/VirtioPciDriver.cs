using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel;
using Vmm.DeviceModel.Memory;
using Vmm.Pci.Access;
using Vmm.Pci.ConfigSpace;
using Vmm.Pci.Spec;
using Vmm.Virtio.Spec;

namespace Vmm.Virtio.Driver;

/// <summary>
/// Drives a virtio-pci function from user space: initialisation, queues, completion, configuration, close (virtio 1.2, chapter 3 and 4.1).
/// </summary>
/// <remarks>
/// One thread at a time, while the queues have a thread each, see <see cref="DriverQueue"/>. Interrupts arrive on any thread and only wake
/// waiters; no register is accessed there.
/// </remarks>
public sealed partial class VirtioPciDriver : IDisposable
{
    private readonly IPciFunctionAccess _access;
    private readonly VirtioPciStructures _structures;
    private readonly HashSet<IDmaMapping> _buffers = [];

    // Replaced as a whole: interrupts read it on any thread.
    private volatile DriverQueue[] _queues = [];
    private bool _anyEnabled;
    private volatile bool _running;
    private bool _closed;

    private VirtioPciDriver(IPciFunctionAccess access, VirtioPciStructures structures, VirtioDriverOptions options)
    {
        (_access, _structures, Options) = (access, structures, options);
        Common = new CommonConfigurationAccess(access, structures.Common);
    }

    /// <summary>The registers of the common configuration; what the driver programmed is better left alone.</summary>
    public CommonConfigurationAccess Common { get; }

    /// <summary>Where the structures lie.</summary>
    public VirtioPciStructures Structures => _structures;

    /// <summary>The features that the device offers.</summary>
    public ulong OfferedFeatures { get; private set; }

    /// <summary>The features that were agreed on.</summary>
    public ulong Features { get; private set; }

    /// <summary>How completions arrive, known after <see cref="Start(int, int)"/>.</summary>
    public CompletionMode Completion { get; private set; }

    /// <summary>The queues that are set up, in the order in which they were.</summary>
    public IReadOnlyList<DriverQueue> Queues => _queues;

    /// <summary>Queues that the device has.</summary>
    public int DeviceQueues => Common.NumQueues;

    /// <summary>The device status.</summary>
    public DeviceStatus Status => Common.DeviceStatus;

    /// <summary>True if the device has failed in a way that only a reset cures: close the driver and open it anew.</summary>
    public bool NeedsReset => (Status & DeviceStatus.NeedsReset) != 0;

    /// <summary>True if the device did not stop, so that its memory stays mapped for good (DRV-7).</summary>
    public bool IsAbandoned { get; private set; }

    internal TimeSpan Timeout => Options.Timeout;

    private VirtioDriverOptions Options { get; }

    /// <summary>Finds the structures, resets the device and negotiates features (3.1.1, steps 1 to 6).</summary>
    /// <param name="access">The function.</param>
    /// <param name="options">What to ask for.</param>
    /// <exception cref="ArgumentException">A feature is both required and refused.</exception>
    /// <exception cref="DriverException">The device cannot be driven; FAILED is set where it could be.</exception>
    public static VirtioPciDriver Open(IPciFunctionAccess access, VirtioDriverOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(access);
        options ??= new VirtioDriverOptions();
        if (((options.RequiredFeatures | TransportFeatures.Version1) & options.RefusedFeatures) != 0)
        {
            throw new ArgumentException($"0x{options.RefusedFeatures:x} are refused and some of them required", nameof(options));
        }

        var structures = VirtioPciStructures.Discover(access);
        if (options.DeviceType is { } type && structures.DeviceType != type)
        {
            throw new DriverException("discovery", $"the device is of type {structures.DeviceType}, not {type}");
        }

        uint command = access.ReadConfiguration(ConfigurationRegisters.Command, 2);
        access.WriteConfiguration(ConfigurationRegisters.Command, 2, command | (uint)PciCommand.MemorySpace);
        var driver = new VirtioPciDriver(access, structures, options);
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

    /// <summary>Sets interrupts and the first queues up and starts the device (3.1.1, steps 7 and 8).</summary>
    /// <param name="queues">Queues to set up, from the first.</param>
    /// <param name="maximumSize">Most descriptors a queue, 1 to 32768.</param>
    /// <exception cref="DriverException">The device cannot be started; FAILED is set and nothing is mapped.</exception>
    public void Start(int queues, int maximumSize = 256)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(queues);
        Start([.. Enumerable.Range(0, queues).Select(index => new DriverQueueOptions(index) { MaximumSize = maximumSize })]);
    }

    /// <summary>Sets interrupts and any of the queues up and starts the device (3.1.1, steps 7 and 8).</summary>
    /// <param name="queues">Queues to set up, each once; also none.</param>
    /// <exception cref="ArgumentException">The options of a queue cannot be.</exception>
    /// <exception cref="DriverException">The device cannot be started; FAILED is set and nothing is mapped.</exception>
    public void Start(IReadOnlyList<DriverQueueOptions> queues)
    {
        ArgumentNullException.ThrowIfNull(queues);
        ObjectDisposedException.ThrowIf(_closed, this);
        if (_running)
        {
            throw new InvalidOperationException("a device starts once");
        }

        foreach (DriverQueueOptions queue in queues)
        {
            Check(queue);
        }

        try
        {
            SetBusMaster(true);
            EnableInterrupts(queues.Count);
            foreach (DriverQueueOptions queue in queues)
            {
                SetUpQueue(queue);
            }

            _seenGeneration = Common.ConfigGeneration;
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

    /// <summary>Resets one queue while the others run (2.6.1); what was outstanding in it is gone, and its memory is unmapped.</summary>
    /// <param name="queue">One of <see cref="Queues"/>; it is closed.</param>
    /// <exception cref="InvalidOperationException">The device does not run, or VIRTIO_F_RING_RESET is not negotiated.</exception>
    /// <exception cref="DriverException">The device does not complete the reset; the memory stays mapped until the device is reset.</exception>
    public void ResetQueue(DriverQueue queue)
    {
        ArgumentNullException.ThrowIfNull(queue);
        RequireRingReset();
        if (!_queues.Contains(queue))
        {
            throw new ArgumentException($"queue {queue.Index} is not set up", nameof(queue));
        }

        queue.Close();
        _queues = [.. _queues.Where(other => other != queue)];
        Common.QueueSelect = (ushort)queue.Index;
        Common.QueueReset = 1;
        if (!Deadline.TryWait(Timeout, () => Common.QueueReset == 0) || Common.QueueEnable != 0)
        {
            throw new DriverException(
                "queue reset", $"queue {queue.Index} has queue_reset {Common.QueueReset} and queue_enable {Common.QueueEnable}");
        }

        queue.Unmap(Unmap);
    }

    /// <summary>Sets a queue up after <see cref="ResetQueue"/>, with another size if wanted.</summary>
    /// <param name="queue">A queue that is not set up.</param>
    /// <exception cref="InvalidOperationException">The device does not run, or VIRTIO_F_RING_RESET is not negotiated.</exception>
    /// <exception cref="DriverException">The device does not take it.</exception>
    public DriverQueue EnableQueue(DriverQueueOptions queue)
    {
        ArgumentNullException.ThrowIfNull(queue);
        RequireRingReset();
        Check(queue);
        return SetUpQueue(queue);
    }

    /// <summary>Maps memory for requests; it is unmapped at the close.</summary>
    /// <param name="length">Bytes.</param>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    public IDmaBuffer MapBuffer(int length)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        IDmaBuffer buffer = _access.MapBuffer(length);
        _buffers.Add(buffer);
        return buffer;
    }

    /// <summary>Maps memory of the caller's for requests, which use it without a copy; it is unmapped at the close.</summary>
    /// <param name="memory">The memory; it stays the caller's. Disposed earlier, its pages stay until it is unmapped.</param>
    /// <param name="offset">First byte to be mapped, by offset in the memory: whole pages.</param>
    /// <param name="length">Bytes, at least 1: whole pages.</param>
    /// <param name="writable">Whether the device may write.</param>
    /// <returns>Tells addresses of any part, see <see cref="DriverSegment.Of"/>. Can be disposed before the close, when no request uses it.</returns>
    /// <exception cref="ArgumentException">
    /// That is no range of whole pages of the memory, or the memory is read-only and the mapping is not.
    /// </exception>
    /// <exception cref="IovaExhaustedException">No address is left for it.</exception>
    /// <exception cref="DmaMappingLimitException">The kernel allows no more mappings.</exception>
    /// <exception cref="NotSupportedException">The way to the function has only memory of its own.</exception>
    public IDmaMapping MapMemory(HostMemory memory, ulong offset, ulong length, bool writable = true)
    {
        ObjectDisposedException.ThrowIf(_closed, this);
        var mapping = new CallerMapping(_access.MapMemory(memory, offset, length, writable), gone => _buffers.Remove(gone));
        _buffers.Add(mapping);
        return mapping;
    }

    /// <summary>
    /// Closes in the order that leaves no memory to a device that still runs: bus master off, reset and wait, interrupts off, reset of the function
    /// where there is one, unmap (DRV-7).
    /// </summary>
    public void Dispose() => Close(failed: false);

    internal void Notify(DriverQueue queue)
    {
        if (!_running || _closed)
        {
            throw new InvalidOperationException("notifications are for a device that runs");
        }

        bool data = (Features & TransportFeatures.NotificationData) != 0;
        ulong value = queue.NotifyIdentifier | (data ? (ulong)queue.NotificationPlace << 16 : 0);
        _access.WriteBar(_structures.Notification.Bar, _structures.Notification.Offset + queue.NotifyOffset, data ? 4 : 2, value);
    }

    internal void ThrowIfNeedsReset()
    {
        if (NeedsReset)
        {
            throw new DriverException("DEVICE_NEEDS_RESET", $"the device has failed; its status is {Status}");
        }
    }

    private void RequireRingReset()
    {
        if (!_running || (Features & TransportFeatures.RingReset) == 0)
        {
            throw new InvalidOperationException("a queue is reset while the device runs, if VIRTIO_F_RING_RESET is negotiated");
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
        foreach (DriverQueue queue in _queues)
        {
            queue.Close();
        }

        SetBusMaster(false);
        bool stopped = Common.TryReset(Timeout);
        TryDisableInterrupts();
        stopped |= TryResetFunction();
        if (failed)
        {
            AddStatus(DeviceStatus.Failed);
        }

        if (!stopped && _anyEnabled)
        {
            IsAbandoned = true;
            return;
        }

        // A mapping of the caller's takes itself off the list.
        foreach (IDmaMapping buffer in _buffers.ToArray())
        {
            buffer.Dispose();
        }

        _buffers.Clear();
    }

    private void TryDisableInterrupts()
    {
        try
        {
            DisableInterrupts();
        }
        catch (HostException)
        {
            // The device is gone, or its host refuses: what it has of our memory is given back all the same.
        }
    }

    /// <summary>Also the end of a device that does not answer its own reset.</summary>
    private bool TryResetFunction()
    {
        try
        {
            return _access.TryReset();
        }
        catch (HostException)
        {
            // It was asked to stop in its own way before, and who waited for that knows whether it did.
            return false;
        }
    }

    private void Unmap(IDmaBuffer buffer)
    {
        _buffers.Remove(buffer);
        buffer.Dispose();
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
