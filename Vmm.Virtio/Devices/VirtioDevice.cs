using System;
using System.Collections.Generic;
using System.Diagnostics.CodeAnalysis;
using System.Threading;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>A virtio device without its transport: features, configuration and what it does with its queues.</summary>
/// <remarks>
/// The transport calls <see cref="OnFeaturesNegotiated"/>, <see cref="Start"/>, <see cref="TryStartQueue"/>, <see cref="StopQueue"/> and
/// <see cref="Reset"/> one at a time, under its own transition lock, never concurrently. Order: OnFeaturesNegotiated, Start, then TryStartQueue for
/// each enabled queue (in any number, also none, also later one by one); StopQueue for each running queue, then Reset, which may come after any
/// of them. Configuration is read and written by vCPU threads at any time and must not wait for a worker (VTP-18).
/// </remarks>
public abstract class VirtioDevice : IDisposable, IComponent
{
    private int _disposed;

    private readonly Lock _configurationLock = new();
    private uint _configurationVersion;

    /// <summary>The type.</summary>
    public abstract VirtioDeviceType DeviceType { get; }

    /// <summary>Device-specific and ring feature bits that are offered; the transport adds its own (VERSION_1, RING_RESET ...).</summary>
    public abstract ulong OfferedFeatures { get; }

    /// <summary>Maximum size of each queue: powers of two, 1 to 32768.</summary>
    public abstract IReadOnlyList<ushort> QueueSizes { get; }

    /// <summary>
    /// The device configuration, as registers that are bound to the device; null if it has none. The same as long as the device exists. They may be
    /// reached with any width at any offset (<see cref="RegisterPolicy.Lanes"/>), and by vCPU threads at any time: no handler waits for a worker
    /// (VTP-18).
    /// </summary>
    public virtual IRegisterBlock? Registers => null;

    /// <summary>Bytes of device configuration; 0 if the device has none.</summary>
    public int ConfigurationLength => Registers?.Length ?? 0;

    /// <summary>
    /// Memory that is shared with the driver; the same as long as the device exists. A reset leaves it as it is. On PCI each region takes a
    /// capability; with more than one there is no room for that of PCI Express, and so no function-level reset.
    /// </summary>
    public virtual IReadOnlyList<SharedMemoryRegion> SharedMemory => [];

    /// <summary>
    /// True if every queue completes its chains in the order in which they were made available, so that VIRTIO_F_IN_ORDER may be offered. Each
    /// chain gets a used entry of its own all the same: a batch with one entry for its last chain would keep the lengths of the others from the
    /// driver.
    /// </summary>
    public virtual bool CompletesInOrder => false;

    /// <summary>Checks dependencies among acknowledged bits that the device type demands (VTP-4).</summary>
    /// <param name="features">Acknowledged bits, a subset of what was offered.</param>
    /// <returns>False if FEATURES_OK must be refused.</returns>
    public virtual bool AcceptsFeatures(ulong features) => true;

    /// <summary>Reads device configuration.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>, inside the configuration.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    public ulong ReadConfiguration(int offset, int width) => Registers?.Read((ulong)offset, width) ?? 0;

    /// <summary>Writes device configuration; read-only fields ignore it.</summary>
    /// <param name="offset">Byte offset, a multiple of <paramref name="width"/>, inside the configuration.</param>
    /// <param name="width">1, 2, 4 or 8.</param>
    /// <param name="value">Little-endian.</param>
    public void WriteConfiguration(int offset, int width, ulong value) => Registers?.Write((ulong)offset, width, value);

    /// <summary>
    /// Counts the changes that the device itself makes to its configuration; odd while one is being made. A driver whose reads fall into a
    /// change sees the configuration generation move (VTP-10).
    /// </summary>
    public uint ConfigurationVersion => Volatile.Read(ref _configurationVersion);

    /// <summary>Changes device configuration so that a torn read is always detectable; tell the host of it afterwards.</summary>
    /// <param name="change">Stores the new values; must not throw, wait, or call the host.</param>
    protected void ChangeConfiguration(Action change)
    {
        ArgumentNullException.ThrowIfNull(change);
        lock (_configurationLock)
        {
            // Interlocked: no store of the change may be seen before the version is odd, or after it is even again.
            Interlocked.Increment(ref _configurationVersion);
            try
            {
                change();
            }
            finally
            {
                Interlocked.Increment(ref _configurationVersion);
            }
        }
    }

    /// <summary>
    /// FEATURES_OK was set: the features are final, and the driver may read and write configuration by them before it sets DRIVER_OK (3.1.1). Runs
    /// on the thread of the vCPU that set it; must not throw or wait.
    /// </summary>
    /// <param name="features">Negotiated feature bits.</param>
    public virtual void OnFeaturesNegotiated(ulong features)
    {
    }

    /// <summary>DRIVER_OK was set: begins, with the queues to come.</summary>
    /// <param name="features">Negotiated feature bits.</param>
    /// <param name="host">Valid until <see cref="Reset"/>.</param>
    /// <exception cref="Exception">A failure sets DEVICE_NEEDS_RESET (VTP-6).</exception>
    public abstract void Start(ulong features, IVirtioDeviceHost host);

    /// <summary>Begins to serve a queue. Requests already in the ring are served without a kick.</summary>
    /// <param name="queue">
    /// What the device gets for it. It makes the ring itself, by <see cref="Virtqueue.TryCreate(QueueResources, out Virtqueue?, out string?)"/>, or
    /// hands all of it to a kernel or another process. Its own until <see cref="StopQueue"/> returns.
    /// </param>
    /// <param name="reason">Why the driver's values cannot work: counted as the driver's mistake, and the device needs a reset.</param>
    /// <returns>False if the driver's values cannot work; the queue does not run then.</returns>
    /// <exception cref="Exception">A failure of the device sets DEVICE_NEEDS_RESET (VTP-6).</exception>
    public abstract bool TryStartQueue(QueueResources queue, [NotNullWhen(false)] out string? reason);

    /// <summary>
    /// A queue is about to be stopped: no further request of it is to be begun. Returns at once; several queues are told before the first is
    /// waited for. Nothing needs to happen here.
    /// </summary>
    /// <param name="index">Queue index.</param>
    public virtual void PrepareStop(int index)
    {
    }

    /// <summary>Stops serving a queue and returns when nothing of it is in flight; idempotent.</summary>
    /// <param name="index">Queue index.</param>
    /// <returns>Where the device stands in the ring, to go on from; null if the queue did not run.</returns>
    public abstract VirtqueueState? StopQueue(int index);

    /// <summary>
    /// Begins no new request and waits until none is in flight; chains that the driver adds stay in their rings. On the transport's terms for calls;
    /// followed by <see cref="Resume"/>. A device whose requests never outlast a call has nothing to do.
    /// </summary>
    /// <param name="limit">How long to wait for all queues.</param>
    /// <returns>False if requests are in flight still.</returns>
    public virtual bool TryDrain(TimeSpan limit) => true;

    /// <summary>Goes on after <see cref="TryDrain"/>.</summary>
    public virtual void Resume()
    {
    }

    string IComponent.Name => "device";

    /// <inheritdoc/>
    public virtual void Inspect(InspectionNode node)
    {
        ArgumentNullException.ThrowIfNull(node);
        node.Add("type", DeviceType.ToString());
        Registers?.Inspect(node);
        if (this is IDeviceCounters counting)
        {
            foreach (DeviceCounter counter in counting.Counters)
            {
                node.Add(counter.Name, counter.Value);
            }
        }
    }

    /// <summary>State of the device itself that a driver can change, apart from features and queues; null if there is nothing.</summary>
    public virtual SavedState? Save() => null;

    /// <inheritdoc/>
    /// <remarks>Takes effect after the features were told and the device was started, if it was; no queue runs yet.</remarks>
    public virtual Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        throw new StateException("kind", "no state of the device", state.Kind);
    }

    /// <summary>Forgets everything negotiated; every queue is stopped already. Works in any state.</summary>
    public abstract void Reset();

    /// <summary>Releases threads, files and descriptors; stops what still runs. Only the first call does something.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            Dispose(true);
        }

        GC.SuppressFinalize(this);
    }

    /// <summary>Releases what the device holds.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
