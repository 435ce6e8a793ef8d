using System;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>A driver and its queues over a device that the test plays: what is popped and completed is up to it.</summary>
internal sealed class QueueRig : IDisposable
{
    private readonly VirtioDriverOptions _options;
    private VirtioPciDriver? _driver;

    public QueueRig(ulong features, params ushort[] sizes)
        : this(new VirtioDriverOptions { RequiredFeatures = features }, sizes)
    {
    }

    public QueueRig(VirtioDriverOptions options, params ushort[] sizes)
    {
        _options =
            options with { Timeout = TimeSpan.FromMilliseconds(options.Timeout.TotalSeconds > 9 ? 20_000 : options.Timeout.TotalMilliseconds) };
        Device = new FakeVirtioDevice(sizes)
        {
            Features = RingFeatures.IndirectDescriptors | RingFeatures.EventIndex | RingFeatures.InOrder | 0x51,
        };
        Access = new HostileAccess(dma => new VirtioPciFunction(Device, dma, new VirtioPciOptions { PackedRing = true, NotificationData = true }));
    }

    public FakeVirtioDevice Device { get; }

    public HostileAccess Access { get; }

    /// <summary>Opened at first use, so that a test can set lies up before.</summary>
    public VirtioPciDriver Driver => _driver ??= VirtioPciDriver.Open(Access, _options);

    public DriverQueue Queue => Driver.Queues[0];

    public Virtqueue Ring => Device.Rings[Queue.Index]!;

    public static ulong FeaturesOf(bool packed, bool indirect, bool eventIndex)
    {
        return (packed ? RingFeatures.Packed : 0) | (indirect ? RingFeatures.IndirectDescriptors : 0) | (eventIndex ? RingFeatures.EventIndex : 0);
    }

    public QueueRig Start(int maximumSize = 32768, int indirectSegments = 16)
    {
        Driver.Start([new DriverQueueOptions(0) { MaximumSize = maximumSize, IndirectSegments = indirectSegments }]);
        return this;
    }

    /// <summary>Pops and completes all that is available, in order, as if everything had been written.</summary>
    public int Serve()
    {
        var chain = new DescriptorChain();
        int served = 0;
        using (Ring.Enter())
        {
            while (Ring.TryPop(chain))
            {
                Ring.Complete(chain, (uint)chain.WritableLength);
                served++;
            }

            Ring.SignalIfNeeded();
            Ring.EnableKicksAndCheckForMore();
        }

        return served;
    }

    /// <summary>The device area of the queue, as the test's own device writes it.</summary>
    public Span<byte> DeviceArea => Access.MemoryAt(Area(2));

    public Span<byte> DriverArea => Access.MemoryAt(Area(1));

    public Span<byte> DescriptorArea => Access.MemoryAt(Area(0));

    public void Dispose()
    {
        _driver?.Dispose();
        Access.Dispose();
    }

    private ulong Area(int area)
    {
        Driver.Common.QueueSelect = (ushort)Queue.Index;
        return area switch
        {
            0 => Driver.Common.QueueDescriptors,
            1 => Driver.Common.QueueDriver,
            _ => Driver.Common.QueueDevice,
        };
    }
}
