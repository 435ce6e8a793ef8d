using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Testing.Memory;
using Vmm.Testing.Rings;
using Vmm.Testing.Seams;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Testing.Rigs;

/// <summary>A virtio device with its queues running and a raw driver on each, without a transport.</summary>
/// <remarks>
/// The rig is the transport: it starts and stops the device in the order that <see cref="VirtioDevice"/> demands, from one thread. Rings are packed
/// if the features say so. Disposing resets and disposes the device.
/// </remarks>
public sealed class VirtioDeviceRig : IVirtioDeviceHost, IDisposable
{
    private readonly List<EventFd> _kicks = [];
    private readonly bool _ownsRam;
    private readonly ManualResetEventSlim _needsReset = new();
    private int _configurationChanges;

    /// <summary>Makes the rig; nothing runs yet.</summary>
    /// <param name="device">The device, disposed with the rig.</param>
    /// <param name="ram">RAM for rings and buffers; 64 MiB without it.</param>
    /// <param name="features">Features that are negotiated; all that are offered without it.</param>
    /// <param name="ownsRam">RAM is disposed with the rig; else it outlives it.</param>
    public VirtioDeviceRig(VirtioDevice device, GuestRam? ram = null, ulong? features = null, bool ownsRam = true)
    {
        ArgumentNullException.ThrowIfNull(device);
        _ownsRam = ownsRam;
        Device = device;
        Ram = ram ?? new GuestRam();
        Features = features ?? device.OfferedFeatures;
    }

    /// <summary>The device.</summary>
    public VirtioDevice Device { get; }

    /// <summary>RAM of rings and buffers.</summary>
    public GuestRam Ram { get; }

    /// <summary>Features that are negotiated.</summary>
    public ulong Features { get; }

    /// <summary>The driver's side of each queue, by index: <see cref="Start"/> makes those that a test has not put there itself.</summary>
    public List<RingDriver> Drivers { get; } = [];

    /// <summary>The interrupt of each queue, by index.</summary>
    public List<CountingVector> Vectors { get; } = [];

    /// <summary>How often the device said that its configuration has changed.</summary>
    public int ConfigurationChanges => Volatile.Read(ref _configurationChanges);

    /// <summary>Reasons for which the device asked for a reset, in order.</summary>
    public ConcurrentQueue<string> ResetReasons { get; } = new();

    /// <summary>Exceptions of the device's own code that it gave as causes.</summary>
    public ConcurrentQueue<Exception> DeviceFailures { get; } = new();

    /// <inheritdoc/>
    public void ConfigurationChanged() => Interlocked.Increment(ref _configurationChanges);

    /// <inheritdoc/>
    public void NeedsReset(string reason, Exception? failure = null)
    {
        if (failure is not null)
        {
            DeviceFailures.Enqueue(failure);
        }

        ResetReasons.Enqueue(reason);
        _needsReset.Set();
    }

    /// <summary>DRIVER_OK with all queues.</summary>
    /// <returns>The rig itself.</returns>
    /// <exception cref="InvalidOperationException">The device refuses the features or a queue.</exception>
    public VirtioDeviceRig Start()
    {
        if (!Device.AcceptsFeatures(Features))
        {
            throw new InvalidOperationException($"the device refuses the features 0x{Features:x}");
        }

        Device.OnFeaturesNegotiated(Features);
        Device.Start(Features, this);
        RingForm form = (Features & RingFeatures.Packed) != 0 ? RingForm.Packed : RingForm.Split;
        for (int i = 0; i < Device.QueueSizes.Count; i++)
        {
            if (Drivers.Count <= i)
            {
                Drivers.Add(RingDriver.Create(form, Ram, Device.QueueSizes[i], Features, i));
            }

            if (Vectors.Count <= i)
            {
                Vectors.Add(new CountingVector());
            }

            if (_kicks.Count <= i)
            {
                _kicks.Add(new EventFd());
            }

            StartQueue(i, null);
        }

        return this;
    }

    /// <summary>Starts a queue that was stopped, or was not started yet.</summary>
    /// <param name="index">Its index.</param>
    /// <param name="state">Where the device goes on, as <see cref="VirtioDevice.StopQueue"/> gave it; null from the beginning.</param>
    /// <exception cref="InvalidOperationException">The device refuses it.</exception>
    public void StartQueue(int index, VirtqueueState? state)
    {
        var resources = new QueueResources
        {
            Configuration = Drivers[index].Configuration with { State = state },
            Dma = Ram.Dma,
            Kick = _kicks[index],
            Interrupt = Vectors[index],
        };
        if (!Device.TryStartQueue(resources, out string? reason))
        {
            throw new InvalidOperationException($"the device refuses queue {index}: {reason}");
        }
    }

    /// <summary>Makes what was added available, and notifies if the device wants that.</summary>
    /// <param name="index">The queue's index.</param>
    public void Kick(int index = 0)
    {
        Drivers[index].Publish();
        if (Drivers[index].NeedsKick())
        {
            _kicks[index].Signal();
        }
    }

    /// <summary>Notifies, asked for or not.</summary>
    /// <param name="index">The queue's index.</param>
    public void Signal(int index = 0) => _kicks[index].Signal();

    /// <summary>Adds a chain, makes it available, and waits until the device has used it and interrupted.</summary>
    /// <param name="index">The queue's index; nothing else is in flight there.</param>
    /// <param name="buffers">The chain: those that the device reads come first.</param>
    /// <returns>Bytes that the device says it wrote.</returns>
    /// <exception cref="TimeoutException">The device does not use it, or does so without an interrupt.</exception>
    public uint Request(int index, params ReadOnlySpan<GuestBuffer> buffers)
    {
        ushort id = Drivers[index].Add(buffers);
        Kick(index);
        (uint used, uint length) = WaitUsed(index);
        return used == id ? length : throw new InvalidOperationException($"queue {index} used chain {used}, which was not made available");
    }

    /// <summary>Waits for the next used entry, by interrupt.</summary>
    /// <param name="index">The queue's index.</param>
    /// <returns>Id of the chain, and the bytes that the device says it wrote.</returns>
    /// <exception cref="TimeoutException">None comes within <see cref="Eventually.Patience"/>.</exception>
    public (uint Id, uint Length) WaitUsed(int index = 0)
    {
        RingDriver driver = Drivers[index];
        uint id;
        uint length;
        while (!driver.TryTakeUsed(out id, out length))
        {
            if (!driver.EnableInterrupts() && !Vectors[index].Wait(Eventually.Patience))
            {
                string used = driver.HasUsed ? "has used a chain without an interrupt" : "uses no chain";
                throw new TimeoutException($"queue {index} {used} ({string.Join("; ", ResetReasons.DefaultIfEmpty("no reset was asked for"))})");
            }
        }

        return (id, length);
    }

    /// <summary>Waits until the device asks for a reset.</summary>
    /// <returns>The first reason that it gave.</returns>
    /// <exception cref="TimeoutException">It does not within <see cref="Eventually.Patience"/>.</exception>
    public string WaitNeedsReset()
    {
        return _needsReset.Wait(Eventually.Patience) && ResetReasons.TryPeek(out string? reason)
            ? reason
            : throw new TimeoutException("the device does not ask for a reset");
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        for (int i = 0; i < Drivers.Count; i++)
        {
            Device.PrepareStop(i);
        }

        for (int i = 0; i < Drivers.Count; i++)
        {
            Device.StopQueue(i);
        }

        Device.Reset();
        Device.Dispose();
        _kicks.ForEach(static kick => kick.Dispose());
        Vectors.ForEach(static vector => vector.Dispose());
        if (_ownsRam)
        {
            Ram.Dispose();
        }

        _needsReset.Dispose();
    }
}
