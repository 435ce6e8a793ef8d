using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Memory;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Interrupts;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Driver;
using Vmm.Virtio.Transport;

namespace Vmm.Tests.Testing;

/// <summary>A driver in process reaches any function on any bus: its BARs of either space, and each kind of interrupt.</summary>
[Trait("Behaviour", "DRV-1")]
public sealed class InProcessAccessTests : IDisposable
{
    private readonly PciBusRig _bus = new();

    public void Dispose() => _bus.Dispose();

    [Fact]
    public void A_BAR_of_ports_has_an_address_and_is_reached()
    {
        var registers = new RecordingHandler(0x40, 0x5a);
        using InProcessFunctionAccess access = _bus.Add(_ => Create(ports: registers));

        access.GetBarLength(1).Should().Be(0x40);
        access.ReadBar(1, 4, 2).Should().Be(0x5a5a);
        access.WriteBar(1, 8, 4, 0x1234_5678);

        registers.ToString().Should().Be("r4+2 w8+4=12345678");
        access.Function.GetMappedAddress(1).Should().BeInRange(0x1000, 0xffff);
        access.Invoking(a => a.ReadBar(1, 0, 8)).Should().Throw<ArgumentException>("no processor makes such an access");
    }

    [Fact]
    public void So_it_is_on_a_bus_of_its_own()
    {
        using var access = new InProcessFunctionAccess(_ => Create(ports: new ConstantHandler(0x77)));

        access.GetBarLength(1).Should().Be(0x40);
        access.ReadBar(1, 0, 4).Should().Be(0x7777_7777);
    }

    [Fact]
    public void What_no_BAR_has_is_all_ones()
    {
        using InProcessFunctionAccess access = _bus.Add(_ => Create());

        access.GetBarLength(3).Should().Be(0);
        access.ReadBar(3, 0, 2).Should().Be(0xffff);
        access.ReadBar(3, 0, 8).Should().Be(ulong.MaxValue);
        access.Invoking(a => a.WriteBar(3, 0, 4, 1)).Should().NotThrow();
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public void MSI_tells_which_message_it_was(int count)
    {
        using InProcessFunctionAccess access = _bus.Add(_ => Create(msi: 4));
        SetBusMaster(access);

        access.MsiMessages.Should().Be(4);
        access.MessageVectors.Should().Be(0, "those are of MSI-X");
        IReadOnlyList<CountingVector> vectors = access.EnableMsi(count);
        for (int i = 0; i < count; i++)
        {
            access.Function.Msi![i].Signal();
            vectors.Select(vector => vector.Count).Should().Equal(Enumerable.Range(0, count).Select(j => j <= i ? 1 : 0));
        }

        access.DisableInterrupts();
        access.Function.Msi![0].Signal();
        vectors[0].Count.Should().Be(1);
        _bus.Messages.Count.Should().Be(count);
    }

    [Fact]
    public void A_count_that_MSI_cannot_have_is_refused()
    {
        using InProcessFunctionAccess access = _bus.Add(_ => Create(msi: 4));

        access.Invoking(a => a.EnableMsi(3)).Should().Throw<ArgumentException>();
        access.Invoking(a => a.EnableMsi(8)).Should().Throw<ArgumentException>();
        access.Invoking(a => a.EnableMsi(0)).Should().Throw<ArgumentException>();
        access.Invoking(a => a.EnableMessages(1)).Should().Throw<ArgumentException>("it has no MSI-X");
    }

    [Fact]
    public void Each_function_of_a_bus_hears_its_own_messages()
    {
        using InProcessFunctionAccess first = _bus.Add(_ => Create(msix: 3), device: 1);
        using InProcessFunctionAccess second = _bus.Add(_ => Create(msix: 3), device: 2);
        SetBusMaster(first);
        SetBusMaster(second);
        IReadOnlyList<CountingVector> ofFirst = first.EnableMessages(3);
        IReadOnlyList<CountingVector> ofSecond = second.EnableMessages(2);

        first.Function.Msix![2].Signal();
        second.Function.Msix![1].Signal();
        second.Function.Msix![1].Signal();

        ofFirst.Select(vector => vector.Count).Should().Equal(0, 0, 1);
        ofSecond.Select(vector => vector.Count).Should().Equal(0, 2);
    }

    [Fact]
    public void A_pin_is_heard_where_its_wire_leads_and_again_while_the_wire_stays_asserted()
    {
        // Devices 1 and 5 share a wire (PCI-9).
        using InProcessFunctionAccess first = _bus.Add(_ => Create(pin: InterruptPin.A), device: 1);
        using InProcessFunctionAccess second = _bus.Add(_ => Create(pin: InterruptPin.A), device: 5);
        using InProcessFunctionAccess other = _bus.Add(_ => Create(pin: InterruptPin.A), device: 2);
        CountingVector ofFirst = first.EnablePin();
        CountingVector ofSecond = second.EnablePin();
        CountingVector ofOther = other.EnablePin();

        first.Function.Intx.SetLevel(true);
        (ofFirst.Count, ofSecond.Count, ofOther.Count).Should().Be((1, 1, 0), "who shares a wire is asked too");

        second.Function.Intx.SetLevel(true);
        first.Function.Intx.SetLevel(false);
        first.PinServed();
        ofSecond.Count.Should().Be(2, "its level keeps the wire asserted");

        second.Function.Intx.SetLevel(false);
        second.PinServed();
        (ofFirst.Count, ofSecond.Count, ofOther.Count).Should().Be((2, 2, 0), "the wire has fallen");

        first.DisableInterrupts();
        first.Function.Intx.SetLevel(true);
        (ofFirst.Count, ofSecond.Count).Should().Be((2, 2), "Interrupt Disable is set");
    }

    [Fact]
    public void A_pin_without_a_wire_cannot_be_enabled()
    {
        using InProcessFunctionAccess access = _bus.Add(_ => Create());

        access.HasPin.Should().BeFalse();
        access.Invoking(a => a.EnablePin()).Should().Throw<InvalidOperationException>();
    }

    [Fact]
    public void A_function_behind_a_root_port_is_driven_by_all_that_a_driver_does()
    {
        var port = new PciRootPort();
        _bus.Bridge.Root.Add(port, 3);
        var function = new VirtioPciFunction(new EntropyDevice(), new DmaTarget(_bus.Ram.Memory), new VirtioPciOptions());
        port.Secondary.Add(function, 0);
        _bus.Bridge.Root.AssignResources();
        _bus.WriteConfiguration(port.Address, 4, 2, 7);

        using (var access = new InProcessFunctionAccess(_bus.Bus, function))
        using (var driver = VirtioEntropyDriver.Open(access))
        {
            byte[] bytes = new byte[1000];
            driver.Read(bytes);
            bytes.Distinct().Should().HaveCountGreaterThan(100);
        }

        function.Bus.Should().BeSameAs(port.Secondary, "the access does not own what was there before");
        _bus.Bus.Iovas.Count.Should().Be(0);
    }

    [Fact]
    public void The_conformance_suite_runs_on_a_bus_that_is_there()
    {
        using InProcessFunctionAccess access = _bus.Add(dma => new VirtioPciFunction(new EntropyDevice(), dma, new VirtioPciOptions()), device: 7);

        ConformanceReport report = ConformanceRun.Execute(
            new ConformanceTarget { Name = "rng", Access = access, Reach = TargetReach.All, IsVirtio = true, IsScratch = true });

        report.Results.Where(result => result.Verdict == CheckVerdict.Fail).Should().BeEmpty();
        report.Results.Count(result => result.Verdict == CheckVerdict.Pass).Should().BeGreaterThan(100);
    }

    [Fact]
    public void A_function_that_is_not_on_the_bus_is_refused()
    {
        using PciFunction function = Create();

        FluentActions.Invoking(() => new InProcessFunctionAccess(_bus.Bus, function)).Should().Throw<ArgumentException>();
    }

    [Fact]
    public void A_vector_is_signalled_by_its_eventfd_too()
    {
        using var vector = new CountingVector();

        vector.GetEventFd().Should().BeSameAs(vector.GetEventFd());
        vector.GetEventFd().Signal();
        vector.Wait().Should().BeTrue();
        vector.Count.Should().Be(1);
    }

    private static void SetBusMaster(InProcessFunctionAccess access) =>
        access.WriteConfiguration(4, 2, access.ReadConfiguration(4, 2) | 4);

    /// <summary>A function with what a test needs: a BAR of ports, MSI-X in a BAR of memory, MSI, a pin.</summary>
    private static PciFunction Create(
        IRegionHandler? ports = null, int msi = 0, int msix = 0, InterruptPin pin = InterruptPin.None)
    {
        var function = new PciFunction(
            new PciIdentity { VendorId = 0x1234, DeviceId = 0x11e8, ClassCode = 0x00ff00 }, new PciFunctionOptions { Name = "device", Pin = pin });
        if (ports is not null)
        {
            function.AddBar(new PciBar(1, PciBarKind.Io, 0x40, [new PciBarRegion("all", 0, 0x40, ports)]));
        }

        if (msix != 0)
        {
            var capability = new MsixCapability(msix, 0, 0, 0, 0x800);
            function.AddBar(new PciBar(0, PciBarKind.Memory32, 0x1000, [capability.CreateTableRegion(), capability.CreatePendingRegion()]));
            function.AddCapability(capability);
        }

        if (msi != 0)
        {
            function.AddCapability(new MsiCapability(msi));
        }

        return function;
    }
}
