using System;
using System.Linq;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Spec;
using Vmm.Virtio.Transport;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Testing;

/// <summary>The rigs do what a test of somebody else's device needs, by public API alone.</summary>
[Trait("Behaviour", "CON-7")]
public sealed class RigTests
{
    [Fact]
    public void A_PCI_function_is_programmed_does_DMA_and_interrupts()
    {
        using var rig = new PciFunctionRig(dma => new CopyingFunction(dma));
        CountingVector message = rig.Access.EnableMsi(1)[0];
        rig.SetBusMaster(true);
        ulong from = rig.Ram.Place("some bytes to copy"u8);
        ulong to = rig.Ram.Allocate(18);

        rig.Access.WriteBar(0, 0, 8, from);
        rig.Access.WriteBar(0, 8, 8, to);
        rig.Access.WriteBar(0, 16, 4, 18);

        rig.Ram.Read(to, 18).Should().Equal("some bytes to copy"u8.ToArray());
        message.Count.Should().Be(1);
        rig.Messages.Sent.Should().ContainSingle().Which.RequesterId.Should().Be(rig.Function.Address.RequesterId);
        rig.Access.DisableInterrupts();

        CountingVector pin = rig.Access.EnablePin();
        rig.Access.WriteBar(0, 16, 4, 18);
        pin.Count.Should().Be(1);
        rig.Wire.IsAsserted.Should().BeTrue();
    }

    [Fact]
    public void BARs_lie_in_the_windows_of_the_bus_and_are_claimed()
    {
        using var rig = new PciFunctionRig(dma => new CopyingFunction(dma));

        ulong address = rig.Function.GetMappedAddress(0)!.Value;
        PciBusRig.CreateWindows().Should().Contain(window => window.Contains(address, 0x1000));
        rig.Bus.Memory.Read(address, 8).Should().Be(0);
        rig.Bus.ReadConfigurationByPorts(rig.Function.Address, 0, 4).Should().Be(rig.Access.ReadConfiguration(0, 4));
    }

    [Fact]
    public void A_rig_disposes_the_function_with_it()
    {
        var function = new CopyingFunction(null);
        new PciFunctionRig(_ => function).Dispose();

        function.Disposals.Should().Be(1);
    }

    [Theory]
    [BothForms]
    public void A_virtio_function_runs_from_reset_to_used_buffers(RingForm form)
    {
        using var rig = new VirtioFunctionRig(new EntropyDevice(), new VirtioPciOptions { PackedRing = form == RingForm.Packed });
        (rig.OfferedFeatures & RingFeatures.Packed).Should().Be(form == RingForm.Packed ? RingFeatures.Packed : 0);

        rig.Start();

        rig.Drivers[0].Should().BeOfType(form == RingForm.Packed ? typeof(PackedRingDriver) : typeof(SplitRingDriver));
        ulong place = rig.Ram.Allocate(64);
        for (int i = 0; i < 100; i++)
        {
            rig.Ram.Write(place, new byte[64]);
            rig.Request(0, Writable(place, 64)).Should().Be(64);
            rig.Ram.Read(place, 64).Should().Contain(value => value != 0);
        }

        rig.Vectors.Should().HaveCount(2);
        rig.Pci.Messages.Count.Should().BeGreaterThan(0);
    }

    [Fact]
    public void A_virtio_function_without_messages_tells_by_its_pin()
    {
        using var rig = new VirtioFunctionRig(new EntropyDevice(), new VirtioPciOptions { Vectors = 0 });

        rig.Start().Vectors.Should().BeEmpty();
        for (int i = 1; i <= 20; i++)
        {
            rig.Request(0, Writable(rig.Ram.Allocate(64), 64)).Should().Be(64);
        }

        rig.Pin!.Count.Should().BeGreaterThan(0);
        rig.ReadIsr();
        rig.Pci.Wire.IsAsserted.Should().BeFalse("the ISR byte was read");
    }

    [Fact]
    public void A_device_that_refuses_what_is_asked_is_no_running_device()
    {
        using var rig = new VirtioFunctionRig(new EntropyDevice());

        rig.Negotiate(1UL << 20).Should().BeFalse("the bit is not offered");
        rig.Invoking(r => r.Start(1UL << 20)).Should().Throw<InvalidOperationException>();
        rig.Start().Common.DeviceStatus.Should().HaveFlag(DeviceStatus.DriverOk, "a reset takes the refusal back");
    }

    [Theory]
    [BothForms]
    public void A_device_without_a_transport_serves_either_form_of_ring(RingForm form)
    {
        using VirtioDeviceRig rig = new VirtioDeviceRig(
            new EntropyDevice(), features: form == RingForm.Packed ? RingFeatures.Packed : 0).Start();

        rig.Request(0, Writable(rig.Ram.Allocate(64), 64)).Should().Be(64);
        VirtqueueState state = rig.Device.StopQueue(0)!;
        rig.StartQueue(0, state);
        rig.Request(0, Writable(rig.Ram.Allocate(64), 32)).Should().Be(32);
    }

    [Fact]
    public void Each_that_listens_to_messages_has_an_address_of_its_own()
    {
        var sink = new RecordingMsiSink();
        MessageListener[] listeners = [.. Enumerable.Range(0, RecordingMsiSink.MaximumListeners).Select(_ => sink.Listen(static _ => { }))];

        listeners.Select(listener => listener.Address).Should().OnlyHaveUniqueItems();
        sink.Invoking(s => s.Listen(static _ => { })).Should().Throw<InvalidOperationException>();
        listeners[7].Dispose();
        sink.Listen(static _ => { }).Address.Should().Be(listeners[7].Address, "a freed one is given again");
    }

    /// <summary>Copies guest memory when its length is written, then sends message 0 or asserts its pin.</summary>
    private sealed class CopyingFunction : PciFunction
    {
        private readonly DmaTarget? _dma;
        private readonly ulong[] _addresses = new ulong[2];

        public CopyingFunction(DmaTarget? dma)
            : base(
                new PciIdentity { VendorId = 0x1234, DeviceId = 0x11e8, ClassCode = 0x00ff00 },
                new PciFunctionOptions { Name = "copier", Pin = InterruptPin.A, Dma = dma })
        {
            _dma = dma;
            AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [new PciBarRegion("registers", 0, 0x20, new DelegateHandler(null, Write))]));
            AddCapability(new MsiCapability(1));
        }

        public int Disposals { get; private set; }

        protected override void Dispose(bool disposing)
        {
            Disposals++;
            base.Dispose(disposing);
        }

        private void Write(ulong offset, int width, ulong value)
        {
            if (offset < 16)
            {
                _addresses[offset / 8] = value;
                return;
            }

            byte[] bytes = new byte[value];
            if (_dma!.Memory.TryRead(_addresses[0], bytes) && _dma.Memory.TryWrite(_addresses[1], bytes))
            {
                if (Msi!.IsEnabled)
                {
                    Msi[0].Signal();
                }
                else
                {
                    Intx.SetLevel(true);
                }
            }
        }
    }
}
