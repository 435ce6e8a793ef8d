using System;
using System.Linq;
using Microsoft.Extensions.Logging.Abstractions;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Registers;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>The transport on a carrier that is no PCI function (CON-1): from reset to running and back, virtio 1.2, 2.1, 2.4 and 3.1.</summary>
[Trait("Behaviour", "CON-1")]
public sealed class PlainHostTests : IDisposable
{
    private const ulong Features = TransportFeatures.Version1 | TransportFeatures.RingReset;

    private readonly GuestRam _ram = new();
    private readonly PlainHost _host;

    public PlainHostTests()
    {
        _host = new PlainHost(_ram.Dma);
    }

    [Fact]
    public void A_device_runs_from_reset_to_requests_and_back()
    {
        using var file = new TemporaryFile(1 << 16);
        using var disk = new BlockDevice(RawFileBackend.Open(file.Path, readOnly: false));
        using VirtioTransport transport = Make(disk);
        var driver = new SplitRingDriver(_ram, 64, Features);
        IRegisterBlock registers = CommonConfigurationRegisters.Map.Bind(transport.Registers);
        Start(registers, driver);

        registers.Read(Reg.DeviceStatus, 1).Should().Be(0xf);
        registers.Read(Reg.QueueMsixVector, 2).Should().Be(VirtioPciIds.NoVector, "this carrier has no vectors");
        Write(registers, Reg.QueueMsixVector, 2, 1);
        registers.Read(Reg.QueueMsixVector, 2).Should().Be(VirtioPciIds.NoVector);
        Write(registers, Reg.ConfigMsixVector, 2, 1);
        registers.Read(Reg.ConfigMsixVector, 2).Should().Be(VirtioPciIds.NoVector);
        transport.CountOf(GuestMistake.VectorRefused).Should().Be(2);
        (Vmm.DeviceModel.Events.EventFd kick, int width) = _host.Doorbells.Should().ContainSingle().Which.Value;
        width.Should().Be(2);
        _host.Interrupts[0].IsOpen.Should().BeTrue();
        ulong status = _ram.Allocate(21);
        driver.Add(GuestBuffer.Readable(_ram.Place([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 16), GuestBuffer.Writable(status, 21));
        driver.Publish();
        kick.Signal();
        Eventually.Holds(() => _host.Interrupts[0].Signals != 0, "the request is answered");
        driver.TryTakeUsed(out _, out uint length).Should().BeTrue();
        length.Should().Be(21, "GET_ID gives 20 bytes and a status");

        registers.Write(Reg.DeviceStatus, 1, 0);
        registers.Read(Reg.DeviceStatus, 1).Should().Be(0xf, "the reset is not done before its effect");
        _host.RunEffects();
        registers.Read(Reg.DeviceStatus, 1).Should().Be(0);
        _host.Doorbells.Should().BeEmpty();
        _host.Interrupts[0].IsOpen.Should().BeFalse();
        _host.Clears.Should().Be(1);

        driver = new SplitRingDriver(_ram, 64, Features);
        Start(registers, driver);
        registers.Read(Reg.DeviceStatus, 1).Should().Be(0xf);
        _host.Doorbells.Should().ContainSingle();
    }

    [Fact]
    public void A_ring_that_cannot_work_needs_a_reset_and_leaves_nothing_behind()
    {
        using var device = new FakeVirtioDevice();
        using VirtioTransport transport = Make(device);
        IRegisterBlock registers = CommonConfigurationRegisters.Map.Bind(transport.Registers);
        Negotiate(registers);
        Write(registers, Reg.QueueSelect, 2, 1);
        Write(registers, Reg.QueueDescriptors, 8, 0x1001);
        Write(registers, Reg.QueueEnable, 2, 1);
        Write(registers, Reg.DeviceStatus, 1, 0xf);

        registers.Read(Reg.DeviceStatus, 1).Should().Be(0x4f);
        transport.CountOf(GuestMistake.BadRing).Should().Be(1);
        _host.ConfigurationSignals.Should().Be(1);
        _host.Doorbells.Should().BeEmpty();
        _host.Interrupts.Should().OnlyContain(interrupt => !interrupt.IsOpen);
        device.Calls.Should().Equal("start");
    }

    [Fact]
    [Trait("Behaviour", "VTP-9")]
    public void A_queue_is_reset_and_started_again_while_others_run()
    {
        using var device = new FakeVirtioDevice();
        using VirtioTransport transport = Make(device);
        IRegisterBlock registers = CommonConfigurationRegisters.Map.Bind(transport.Registers);
        Negotiate(registers);
        for (uint queue = 0; queue < 2; queue++)
        {
            SetUp(registers, new SplitRingDriver(_ram, 64, Features, (int)queue), queue);
        }

        Write(registers, Reg.DeviceStatus, 1, 0xf);
        Write(registers, Reg.QueueSelect, 2, 0);
        Write(registers, Reg.QueueReset, 2, 1);
        registers.Read(Reg.QueueEnable, 2).Should().Be(0);
        _host.Interrupts.Select(interrupt => interrupt.IsOpen).Should().Equal(false, true);
        _host.Doorbells.Keys.Should().Equal(1);
        SetUp(registers, new SplitRingDriver(_ram, 32, Features), 0);
        device.Calls.Should().Equal("start", "start-queue 0", "start-queue 1", "stop-queue 0", "start-queue 0");
        device.Resources[0]!.Configuration.Size.Should().Be(32);
        device.Resources[0]!.Configuration.State.Should().BeNull("a queue that was reset begins at its beginning");
    }

    public void Dispose() => _ram.Dispose();

    private VirtioTransport Make(VirtioDevice device)
    {
        return new VirtioTransport(device, _host, device.OfferedFeatures | Features, TransportFeatures.Version1, "plain", NullLogger.Instance);
    }

    private void Start(IRegionHandler registers, SplitRingDriver driver)
    {
        Negotiate(registers);
        SetUp(registers, driver, 0);
        Write(registers, Reg.DeviceStatus, 1, 0xf);
    }

    private void Negotiate(IRegionHandler registers)
    {
        Write(registers, Reg.DeviceStatus, 1, 1);
        Write(registers, Reg.DeviceStatus, 1, 3);
        Write(registers, Reg.DriverFeatureSelect, 4, 1);
        Write(registers, Reg.DriverFeature, 4, Features >> 32);
        Write(registers, Reg.DeviceStatus, 1, 0xb);
        registers.Read(Reg.DeviceStatus, 1).Should().Be(0xb);
    }

    private void SetUp(IRegionHandler registers, SplitRingDriver driver, uint queue)
    {
        VirtqueueConfiguration configuration = driver.Configuration;
        Write(registers, Reg.QueueSelect, 2, queue);
        Write(registers, Reg.QueueSize, 2, configuration.Size);
        Write(registers, Reg.QueueDescriptors, 8, configuration.Descriptors);
        Write(registers, Reg.QueueDriver, 8, configuration.Driver);
        Write(registers, Reg.QueueDevice, 8, configuration.Device);
        Write(registers, Reg.QueueEnable, 2, 1);
    }

    private void Write(IRegionHandler registers, int offset, int width, ulong value)
    {
        registers.Write((ulong)offset, width, value);
        _host.RunEffects();
    }
}
