using System;
using System.Linq;
using Vmm.Pci.Access;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Virtio.Driver;

/// <summary>Devices that offer little, or what no driver can use: the drivers make do with it, or say which step it ended.</summary>
public sealed class DeviceOffersTests
{
    private const ulong MultiQueue = 1UL << 22;

    private static readonly VirtioDriverOptions _impatient = new() { Timeout = TimeSpan.FromMilliseconds(50) };

    [Theory]
    [Trait("Behaviour", "DRV-1")]
    [InlineData(0)]
    [InlineData(RingFeatures.IndirectDescriptors)]
    [InlineData(RingFeatures.Packed)]
    [InlineData(RingFeatures.Packed | RingFeatures.IndirectDescriptors | RingFeatures.EventIndex)]
    public void Two_descriptors_are_enough_for_a_disk(ulong features)
    {
        using var disk = new DriverDisk(
            new VirtioPciOptions { PackedRing = true }, device: new BlockDeviceOptions { QueueSize = 2, Serial = "small" });
        byte[] content = disk.File.Content;
        using var driver = VirtioBlockDriver.Open(disk, new VirtioDriverOptions { RequiredFeatures = features });
        driver.Queues[0].Queue.Size.Should().Be(2);
        driver.Queues[0].MostPieces.Should().Be(0);
        byte[] data = [.. Enumerable.Range(0, 70 * 1024).Select(i => (byte)(i * 11 / 3))];
        driver.Write(3, data);
        data.CopyTo(content, 3 * 512);
        driver.WriteZeroes(200, 2);
        content.AsSpan(200 * 512, 1024).Clear();
        driver.Flush();
        byte[] read = new byte[content.Length];
        driver.Read(0, read);
        read.Should().Equal(content);
        disk.File.Content.Should().Equal(content);
        driver.GetId().Should().Be("small");
        driver.Invoking(d => d.Read(512, new byte[512])).Should().Throw<DriverException>().Which.Step.Should().Be("request");
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void More_pieces_than_a_queue_has_descriptors_are_a_mistake_of_the_caller()
    {
        using var disk = new DriverDisk(device: new BlockDeviceOptions { QueueSize = 4 });
        using var driver = VirtioBlockDriver.Open(disk);
        BlockRequestQueue queue = driver.Queues[0];
        queue.MostPieces.Should().Be(2);
        IDmaBuffer memory = driver.Driver.MapBuffer(1536);
        DriverSegment[] pieces = [.. Enumerable.Range(0, 3).Select(i => new DriverSegment(memory.Iova + ((ulong)i * 512), 512, true))];
        queue.Invoking(q => q.TrySubmit(BlockRequestType.Read, 0, pieces)).Should().Throw<ArgumentException>();
        queue.TrySubmit(BlockRequestType.Read, 0, pieces.AsSpan(1)).Should().NotBeNull();
        disk.Invoking(d => VirtioBlockDriver.Open(d, queueSize: 1)).Should().Throw<ArgumentException>();
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(VirtioDeviceType.Block, 0)]
    [InlineData(VirtioDeviceType.Block, 1)]
    [InlineData(VirtioDeviceType.Net, 0)]
    [InlineData(VirtioDeviceType.Net, 1)]
    [InlineData(VirtioDeviceType.Console, 0)]
    [InlineData(VirtioDeviceType.Entropy, 0)]
    public void A_queue_that_no_request_fits_into_is_refused(VirtioDeviceType type, ushort size)
    {
        using HostileAccess access = Function(type, 16);
        access.OnRead = (offset, value) => offset == 0x18 ? size : value;
        Refusal(access, type).Step.Should().Be("queues");
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(VirtioDeviceType.Block, 0)]
    [InlineData(VirtioDeviceType.Net, 1)]
    [InlineData(VirtioDeviceType.Net, 2)]
    [InlineData(VirtioDeviceType.Console, 1)]
    [InlineData(VirtioDeviceType.Entropy, 0)]
    public void A_device_with_too_few_queues_is_refused(VirtioDeviceType type, ushort queues)
    {
        using HostileAccess access = Function(type, 16);
        access.OnRead = (offset, value) => offset == 0x12 ? queues : value;
        Refusal(access, type).Step.Should().Be("queues");
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(VirtioDeviceType.Block, 2)]
    [InlineData(VirtioDeviceType.Net, 2)]
    [InlineData(VirtioDeviceType.Console, 1)]
    [InlineData(VirtioDeviceType.Console, 2)]
    [InlineData(VirtioDeviceType.Entropy, 1)]
    [InlineData(VirtioDeviceType.Block, 32768)]
    [InlineData(VirtioDeviceType.Net, 32768)]
    [InlineData(VirtioDeviceType.Console, 32768)]
    [InlineData(VirtioDeviceType.Entropy, 32768)]
    public void The_smallest_and_the_largest_queues_are_taken(VirtioDeviceType type, ushort size)
    {
        using HostileAccess access = Function(type, size);
        Open(access, type).Dispose();
        access.Inner.Iovas.Count.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(3, 2)]
    [InlineData(100, 64)]
    [InlineData(32769, 256)]
    [InlineData(65535, 256)]
    public void Of_a_split_ring_of_any_size_a_power_of_two_is_used(ushort offered, int used)
    {
        using HostileAccess access = Function(VirtioDeviceType.Block, 256);
        ushort size = offered;
        access.OnRead = (offset, value) => offset == 0x18 ? size : value;
        access.OnWrite = (offset, value) => offset == 0x18 ? size = (ushort)value : value;
        using var driver = VirtioBlockDriver.Open(access, _impatient);
        driver.Queues[0].Queue.Size.Should().Be(used);
    }

    [Theory]
    [Trait("Behaviour", "DRV-6")]
    [InlineData(0)]
    [InlineData(0x8001)]
    [InlineData(0xffff)]
    public void A_number_of_queue_pairs_that_cannot_be_is_refused(ushort pairs)
    {
        using HostileAccess access = Function(
            VirtioDeviceType.Net, 16, MultiQueue | (1UL << 17), [0, 0, 0, 0, 0, 0, 1, 0, (byte)pairs, (byte)(pairs >> 8), 0, 0]);
        access.Invoking(a => VirtioNetDriver.Open(a, _impatient with { WantedFeatures = MultiQueue }))
            .Should().Throw<DriverException>().Which.Step.Should().Be("device configuration");
        access.Inner.Iovas.Count.Should().Be(0);
    }

    [Theory]
    [Trait("Behaviour", "DRV-6")]
    [InlineData(VirtioDeviceType.Block, 0)]
    [InlineData(VirtioDeviceType.Block, 4)]
    [InlineData(VirtioDeviceType.Net, 0)]
    [InlineData(VirtioDeviceType.Console, 2)]
    public void Fields_that_the_structure_does_not_reach_are_refused(VirtioDeviceType type, int length)
    {
        using HostileAccess access = Function(type, 16, 1 | (1UL << 5), new byte[length]);
        access.Invoking(a =>
        {
            using IDisposable driver = Open(a, type);
            _ = driver is VirtioNetDriver net ? net.Mac : null;
            _ = (driver as VirtioConsoleDriver)?.ScreenSize;
        }).Should().Throw<DriverException>().Which.Step.Should().Be("device configuration");
        access.Inner.Iovas.Count.Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void Memory_that_cannot_be_is_a_mistake_of_the_caller_whatever_the_device_offers()
    {
        using HostileAccess access = Function(VirtioDeviceType.Net, 16);
        access.Invoking(a => VirtioNetDriver.Open(a, null, new NetDriverOptions { QueueSize = 32768, BufferSize = 65_562 }))
            .Should().Throw<ArgumentException>();
        using var driver = VirtioPciDriver.Open(access);
        driver.Invoking(d => d.Start([new DriverQueueOptions(0) { MaximumSize = 32768, IndirectSegments = 32768 }]))
            .Should().Throw<ArgumentException>();
        driver.Invoking(d => d.Start([new DriverQueueOptions(0) { MaximumSize = 8, MinimumSize = 9 }])).Should().Throw<ArgumentException>();
        driver.Start(1);
    }

    private static HostileAccess Function(VirtioDeviceType type, ushort size, ulong features = 1UL << 17, byte[]? configuration = null)
    {
        var device = new FakeVirtioDevice(size, size, size) { Type = type, Features = features, Configuration = configuration ?? new byte[24] };
        return new HostileAccess(dma => new VirtioPciFunction(device, dma));
    }

    private static IDisposable Open(HostileAccess access, VirtioDeviceType type) => type switch
    {
        VirtioDeviceType.Block => VirtioBlockDriver.Open(access, _impatient, queueSize: 32768),
        VirtioDeviceType.Net => VirtioNetDriver.Open(access, _impatient, new NetDriverOptions { QueueSize = 32768 }),
        VirtioDeviceType.Console => VirtioConsoleDriver.Open(access, _impatient),
        _ => VirtioEntropyDriver.Open(access, _impatient),
    };

    private static DriverException Refusal(HostileAccess access, VirtioDeviceType type)
    {
        DriverException refused = access.Invoking(a => Open(a, type)).Should().Throw<DriverException>().Which;
        access.Steps.Should().Contain("status 80");
        access.Inner.Iovas.Count.Should().Be(0);
        return refused;
    }
}
