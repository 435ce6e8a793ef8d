using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Kernel;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Spec;

namespace Vmm.Tests.Vfio.Kernel;

/// <summary>A virtio function that the kernel gives us, whose registers keep what is written: enough for a driver to start it.</summary>
public sealed class MappedDriverTests : IDisposable
{
    private const int NotifyOffset = 0x3000;
    private static readonly bool _isX64 = RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;
    private static readonly TimeSpan _limit = TimeSpan.FromSeconds(60);

    private readonly FakeVfioKernel _kernel = new();
    private readonly FakeVfioDevice _fake;
    private VfioPciDevice? _device;
    private DeviceFunctionAccess? _access;

    public MappedDriverTests()
    {
        _fake = _kernel.AddController();
        Span<byte> space = _fake.Configuration.Bytes;
        MemoryMarshal.Write(space, 0x1042_1af4);
        (space[6], space[0x34]) = (0x10, 0x40);
        AddStructure(0x40, 0x50, 16, 1, 0, 0x40);
        AddStructure(0x50, 0x70, 20, 2, NotifyOffset, 0x1000);
        AddStructure(0x70, 0, 16, 3, 0x100, 4);
        Span<byte> registers = _fake.Regions[0].Bytes;
        MemoryMarshal.Write(registers[4..], 0x11);
        registers[CommonConfigurationOffset.NumQueues] = 1;
        registers[CommonConfigurationOffset.QueueSize] = 8;
    }

    public void Dispose()
    {
        _access?.Dispose();
        _device?.Dispose();
        _kernel.ShouldHoldNothing();
    }

    [Theory]
    [Trait("Behaviour", "DRV-5")]
    [InlineData(true)]
    [InlineData(false)]
    public void A_notification_is_one_store_where_its_page_is_mapped_and_one_call_elsewhere(bool mapped)
    {
        _fake.Regions[0].Areas = mapped ? _fake.Regions[0].Areas : [new RegionArea(0, 0x2000)];
        using VirtioPciDriver driver = Open();
        driver.Start(1);
        MemoryMarshal.Write(_fake.Regions[0].Bytes[NotifyOffset..], 0xffff_ffff);
        (int accesses, int calls) = (_fake.Accesses.Count, _kernel.Log.Count);

        driver.Queues[0].Kick();

        MemoryMarshal.Read<uint>(_fake.Regions[0].Bytes[NotifyOffset..]).Should().Be(0xffff_0000, "two bytes of the queue's index were written");
        _kernel.Log.Count.Should().Be(calls);
        _fake.Accesses.Skip(accesses).Should().Equal(mapped ? [] : [(PciRegionIndex.Bar0, (ulong)NotifyOffset, 2, (ulong?)0)]);
    }

    [Theory]
    [Trait("Behaviour", "DRV-3")]
    [InlineData(0ul, true)]
    [InlineData(TransportFeatures.OrderPlatform, false)]
    public void The_order_of_the_platform_is_agreed_on_where_it_is_offered_and_not_refused(ulong refused, bool agreed)
    {
        using VirtioPciDriver driver = Open(new VirtioDriverOptions { RefusedFeatures = refused });
        (driver.OfferedFeatures & TransportFeatures.OrderPlatform).Should().NotBe(0);
        (driver.Features & TransportFeatures.OrderPlatform).Should().Be(
            agreed && _isX64 ? TransportFeatures.OrderPlatform : 0);
        MemoryMarshal.Read<uint>(_fake.Regions[0].Bytes[CommonConfigurationOffset.DriverFeature..]).Should().Be((uint)(driver.Features >> 32));
    }

    [Fact]
    [Trait("Behaviour", "DRV-3")]
    public void The_order_of_the_platform_is_not_agreed_on_where_it_is_not_offered()
    {
        MemoryMarshal.Write(_fake.Regions[0].Bytes[4..], 1);
        using VirtioPciDriver driver = Open();
        driver.Features.Should().Be(TransportFeatures.Version1);
    }

    [Fact]
    [Trait("Behaviour", "DRV-4")]
    public void Vectors_signal_eventfds_of_the_callers_without_a_thread_between()
    {
        using VirtioPciDriver driver = Open(new VirtioDriverOptions { HandsOutEvents = true });
        driver.Start(1);
        DriverQueue queue = driver.Queues[0];
        (queue.Vector, driver.ConfigurationVector).Should().Be((1, 0));
        EventFd completed = queue.CompletionEvent!;

        // The device signals the descriptor itself, so that it is there at once.
        _fake.Signal(PciInterruptIndex.Msix, 1).Should().BeTrue();
        completed.TryConsume(out _).Should().BeTrue();
        driver.ConfigurationEvent!.TryConsume(out _).Should().BeFalse();
        _fake.Signal(PciInterruptIndex.Msix, 0).Should().BeTrue();
        driver.ConfigurationEvent.TryConsume(out _).Should().BeTrue();
        queue.Interrupts.Should().Be(0);

        driver.Dispose();
        _fake.Interrupts[2]!.Triggers.Should().BeNull();
        completed.Invoking(e => e.Descriptor).Should().Throw<ObjectDisposedException>();
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void Eventfds_given_to_an_access_stay_the_callers()
    {
        Open().Dispose();
        using var first = new EventFd();
        using var second = new EventFd();
        _access!.EnableMessages([first, second]);
        _access.Invoking(a => a.EnableMessages([first])).Should().Throw<InvalidOperationException>();
        _fake.Signal(PciInterruptIndex.Msix, 1).Should().BeTrue();
        (first.TryConsume(out _), second.TryConsume(out _)).Should().Be((false, true));
        _access.DisableInterrupts();
        _fake.Signal(PciInterruptIndex.Msix, 1).Should().BeFalse();
        second.Signal();
        second.TryConsume(out _).Should().BeTrue();
        _access.Invoking(a => a.EnableMessages(new List<EventFd>())).Should().Throw<ArgumentException>();
        _access.Invoking(a => a.EnableMessages([.. Enumerable.Repeat(first, 66)])).Should().Throw<ArgumentException>();
    }

    [Theory]
    [Trait("Behaviour", "DRV-7")]
    [InlineData(true, 0)]
    [InlineData(true, Errno.EIO)]
    [InlineData(false, 0)]
    public void The_close_resets_the_function_where_that_can_be_and_unmaps_in_any_case(bool canReset, int errno)
    {
        _fake.CanReset = canReset;
        VirtioPciDriver driver = Open();
        driver.Start(1);
        int resets = _fake.Resets;
        int before = _kernel.Log.Count;
        _kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_RESET", StringComparison.Ordinal) ? errno : 0;

        driver.Dispose();

        driver.IsAbandoned.Should().BeFalse();
        _device!.Dma.Count.Should().Be(0);
        _fake.Resets.Should().Be(resets + (canReset && errno == 0 ? 1 : 0));
        string[] watched = ["VFIO_DEVICE_SET_IRQS", "VFIO_DEVICE_RESET", "VFIO_IOMMU_UNMAP_DMA"];
        _kernel.Log.Skip(before).Select(line => line.Split(' ')[0]).Where(step => watched.Contains(step))
            .Should().StartWith(canReset ? watched : ["VFIO_DEVICE_SET_IRQS"]);
        _kernel.Refuse = _ => 0;
    }

    [Fact]
    [Trait("Behaviour", "DRV-1")]
    public void A_reset_of_the_function_leaves_it_decoding_as_it_did()
    {
        Open().Dispose();
        _access!.WriteConfiguration(4, 2, 6);
        _access.TryReset().Should().BeTrue();
        (_fake.Command & 6).Should().Be(6);
        int before = _fake.Accesses.Count;
        _access.ReadBar(0, 0, 4);
        _fake.Accesses.Count.Should().Be(before, "the mapping is in use again");

        _kernel.Refuse = line => line.StartsWith("VFIO_DEVICE_RESET", StringComparison.Ordinal) ? Errno.EIO : 0;
        _access.Invoking(a => a.TryReset()).Should().Throw<VfioException>();
        _kernel.Refuse = _ => 0;
    }

    private VirtioPciDriver Open(VirtioDriverOptions? options = null)
    {
        _device = _kernel.Attach();
        _access = new DeviceFunctionAccess(_device);
        return VirtioPciDriver.Open(_access, (options ?? new VirtioDriverOptions()) with { Timeout = _limit });
    }

    private void AddStructure(int at, byte next, byte length, byte type, int offset, int size)
    {
        Span<byte> space = _fake.Configuration.Bytes[at..];
        (space[0], space[1], space[2], space[3], space[4]) = (9, next, length, type, 0);
        MemoryMarshal.Write(space[8..], offset);
        MemoryMarshal.Write(space[12..], size);
    }
}
