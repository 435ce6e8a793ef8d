using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>A device with its queues running and a driver on each, without a transport.</summary>
public sealed class DeviceHarness : IVirtioDeviceHost, IDisposable
{
    private const int Timeout = 20_000;
    private readonly List<EventFd> _kicks = [];
    private readonly bool _ownsRam;
    private readonly ManualResetEventSlim _needsReset = new();

    public DeviceHarness(VirtioDevice device, GuestRam? ram = null, ulong? features = null, bool ownsRam = true)
    {
        _ownsRam = ownsRam;
        Device = device;
        Ram = ram ?? new GuestRam();
        Features = features ?? device.OfferedFeatures;
    }

    public VirtioDevice Device { get; }

    public GuestRam Ram { get; }

    public ulong Features { get; }

    public List<GuestDriver> Drivers { get; } = [];

    public List<CountingVector> Vectors { get; } = [];

    public ConcurrentQueue<string> ResetReasons { get; } = new();

    public int ConfigurationChanges { get; private set; }

    public void ConfigurationChanged() => ConfigurationChanges++;

    /// <summary>Exceptions of the device's own code.</summary>
    public ConcurrentQueue<Exception> DeviceFailures { get; } = new();

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
    public DeviceHarness Start()
    {
        Device.AcceptsFeatures(Features).Should().BeTrue();
        Device.OnFeaturesNegotiated(Features);
        Device.Start(Features, this);
        for (int i = 0; i < Device.QueueSizes.Count; i++)
        {
            if (Drivers.Count <= i)
            {
                Drivers.Add(new GuestDriver(Ram, Device.QueueSizes[i], Features, i));
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

    public void StartQueue(int index, VirtqueueState? state)
    {
        var resources = new QueueResources
        {
            Configuration = Drivers[index].Configuration with { State = state },
            Dma = Ram.Dma,
            Kick = _kicks[index],
            Interrupt = Vectors[index],
        };
        Device.TryStartQueue(resources, out string? reason).Should().BeTrue(reason);
    }

    /// <summary>Publishes and notifies as a driver does.</summary>
    public void Kick(int index = 0)
    {
        Drivers[index].Publish();
        if (Drivers[index].NeedsKick())
        {
            _kicks[index].Signal();
        }
    }

    /// <summary>Notifies, asked for or not.</summary>
    public void Signal(int index = 0) => _kicks[index].Signal();

    /// <summary>Waits for the next used entry, by interrupt.</summary>
    public (uint Id, uint Length) WaitUsed(int index = 0)
    {
        GuestDriver driver = Drivers[index];
        uint id;
        uint length;
        while (!driver.TryTakeUsed(out id, out length))
        {
            if (!driver.EnableInterrupts())
            {
                Vectors[index].Wait(Timeout).Should().BeTrue(
                    $"queue {index} must interrupt for what it completes ({string.Join("; ", ResetReasons)})");
            }
        }

        return (id, length);
    }

    public string WaitNeedsReset()
    {
        _needsReset.Wait(Timeout).Should().BeTrue("the device must ask for a reset");
        ResetReasons.TryPeek(out string? reason).Should().BeTrue();
        return reason!;
    }

    /// <summary>Waits until something holds that happens on another thread.</summary>
    public static void Eventually(Func<bool> condition, string because)
    {
        long start = Stopwatch.GetTimestamp();
        while (!condition())
        {
            Stopwatch.GetElapsedTime(start).TotalMilliseconds.Should().BeLessThan(Timeout, because);
            Thread.Yield();
        }
    }

    public void Dispose()
    {
        Device.Reset();
        Device.Dispose();
        _kicks.ForEach(k => k.Dispose());
        Vectors.ForEach(v => v.Dispose());
        if (_ownsRam)
        {
            Ram.Dispose();
        }

        _needsReset.Dispose();
    }
}
