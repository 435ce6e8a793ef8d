using System;
using System.Linq;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.Epochs;
using Vmm.Pci;
using Vmm.Pci.Capabilities;
using Vmm.Pci.Host;

namespace Vmm.Tests.Pci;

/// <summary>A function whose hooks throw: the fault is its own, and the configuration window and the other functions go on.</summary>
[Trait("Behaviour", "BUS-8")]
public sealed class FunctionFaultTests
{
    private const int Bad = 3;
    private const int Good = 4;
    private readonly ListLogger _log = new();
    private readonly AddressSpace _memory;
    private readonly AddressSpace _ports;
    private readonly PciHostBridge _bridge;

    public FunctionFaultTests()
    {
        var domain = new AccessDomain();
        _memory = new AddressSpace(new AddressSpaceOptions { Domain = domain, LoggerFactory = _log });
        _ports = new AddressSpace(new AddressSpaceOptions { Domain = domain, Kind = AddressSpaceKind.Port, LoggerFactory = _log });
        _bridge = new PciHostBridge(new PciHostBridgeOptions { Memory = _memory, Ports = _ports, LoggerFactory = _log });
        _bridge.ClaimConfigurationAccess();
        _bridge.Root.Add(new PciFunction(PciRig.Identity), Good);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_hook_that_throws_at_a_write_is_fenced_to_its_function(bool byPorts)
    {
        var function = new MoodyFunction { Hook = static () => throw new InvalidTimeZoneException("a broken hook") };
        _bridge.Root.Add(function, Bad);

        Write(byPorts, Bad, 4, 2, 4);

        function.Faults.Should().Be(1);
        ShouldServeTheOthers();
        Read(byPorts, Bad, 0, 4).Should().Be(0x1042_1af4, "its registers are not the hook's");
        (Read(byPorts, Bad, 4, 2) & 4).Should().Be(4u, "the register took the write");
        _log.Entries.Should().ContainSingle(static entry => entry.Text.Contains("moody"));
        _log.Exceptions.OfType<InvalidTimeZoneException>().Should().ContainSingle().Which.StackTrace.Should().Contain(nameof(MoodyFunction));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Accesses_that_a_function_answers_itself_read_ones_where_it_throws(bool byPorts)
    {
        var function = new MoodyFunction { Access = static () => throw new InvalidTimeZoneException("a broken function") };
        _bridge.Root.Add(function, Bad);

        Read(byPorts, Bad, 0, 4).Should().Be(0xffff_ffff);
        Read(byPorts, Bad, 2, 2).Should().Be(0xffff);
        Read(byPorts, Bad, 8, 1).Should().Be(0xff);
        Write(byPorts, Bad, 4, 2, 6);

        function.Faults.Should().Be(4);
        ShouldServeTheOthers();
        function.Access = static () => { };
        Read(byPorts, Bad, 0, 4).Should().Be(0x1042_1af4);
    }

    [Fact]
    public void Of_an_access_of_8_bytes_the_half_that_throws_reads_ones()
    {
        int reads = 0;
        var function = new MoodyFunction();
        function.Access = () =>
        {
            if (++reads == 2)
            {
                throw new InvalidTimeZoneException("the second half");
            }
        };
        _bridge.Root.Add(function, Bad);
        _memory.Read(PciRig.EcamAddress(0, Bad, 0), 8).Should().Be(0xffff_ffff_1042_1af4);
    }

    [Fact]
    public void What_a_write_means_to_the_function_itself_is_done_although_a_hook_throws()
    {
        var msix = new MsixCapability(1, 0, 0, 0, 0x800);
        var function = new MoodyFunction { Hook = static () => throw new InvalidTimeZoneException("a broken hook") };
        function.AddBar(new Vmm.Pci.Bars.PciBar(0, Vmm.Pci.Bars.PciBarKind.Memory32, 0x1000, [msix.CreateTableRegion(), msix.CreatePendingRegion()]));
        function.AddCapability(msix);
        _bridge.Root.Add(function, Bad);
        Write(false, Bad, 0x10, 4, 0xc000_0000);

        Write(false, Bad, 4, 2, 6);
        Write(false, Bad, msix.Offset + 2, 2, 0x8000);
        ShouldServeTheOthers();
        _memory.Write(0xc000_000c, 4, 0);

        function.GetMappedAddress(0).Should().Be(0xc000_0000);
        msix[0].IsEffective.Should().BeTrue();
        function.Faults.Should().Be(3, "bus mastering, decoding and the interrupt mode");
        _memory.HandlerFaults.Should().Be(1, "the vector, whose table is a region like any other");
        _memory.Domain.FailedEffects.Should().Be(0);
        Read(false, Good, 0, 4).Should().Be(0x1042_1af4);
    }

    [Fact]
    public void A_reset_that_throws_keeps_no_other_function_from_its_reset()
    {
        _bridge.Root.Add(new MoodyFunction { Hook = static () => throw new InvalidTimeZoneException("a broken reset") }, 2);
        Write(false, Good, 4, 2, 4);
        _bridge.Root.Invoking(static root => root.Reset()).Should().NotThrow();
        (Read(false, Good, 4, 2) & 4).Should().Be(0u);
    }

    [Fact]
    public void A_bar_whose_handler_threw_is_not_made_well_by_the_guest_but_by_a_new_stay_on_the_bus()
    {
        bool broken = true;
        var function = new MoodyFunction();
        var region = new DelegateHandler((_, _) => broken ? throw new InvalidTimeZoneException("a broken region") : 7UL);
        function.AddBar(PciRig.Bar(0, Vmm.Pci.Bars.PciBarKind.Memory32, 0x1000, region));
        _bridge.Root.Add(function, Bad);
        Write(false, Bad, 0x10, 4, 0xc000_0000);
        Write(false, Bad, 4, 2, 2);
        _memory.Read(0xc000_0000, 4).Should().Be(0xffff_ffff);
        broken = false;
        Write(false, Bad, 4, 2, 0);
        Write(false, Bad, 4, 2, 2);
        _memory.Read(0xc000_0000, 4).Should().Be(0xffff_ffff);
        _memory.HandlerFaults.Should().Be(1);

        _bridge.Root.Remove(function);
        _bridge.Root.Add(function, Bad);
        _memory.Read(0xc000_0000, 4).Should().Be(7);
    }

    [Fact]
    public void A_guest_cannot_fill_the_log_with_the_faults_of_a_function()
    {
        var function = new MoodyFunction { Hook = static () => throw new InvalidTimeZoneException("a broken hook") };
        _bridge.Root.Add(function, Bad);
        for (uint i = 1; i <= 1000; i++)
        {
            Write(false, Bad, 4, 2, (i & 1) << 2);
        }

        function.Faults.Should().Be(1000);
        _log.Entries.Count.Should().BeInRange(1, 20);
    }

    private void ShouldServeTheOthers()
    {
        _memory.HandlerFaults.Should().Be(0);
        _ports.HandlerFaults.Should().Be(0);
        Read(false, Good, 0, 4).Should().Be(0x1042_1af4);
        Read(true, Good, 0, 4).Should().Be(0x1042_1af4);
    }

    private uint Read(bool byPorts, int device, int offset, int width)
    {
        if (!byPorts)
        {
            return (uint)_memory.Read(PciRig.EcamAddress(offset, device, 0), width);
        }

        _ports.Write(0xcf8, 4, 0x8000_0000u | ((uint)device << 11) | ((uint)offset & 0xfc));
        return (uint)_ports.Read(0xcfcu + ((uint)offset & 3), width);
    }

    private void Write(bool byPorts, int device, int offset, int width, uint value)
    {
        if (!byPorts)
        {
            _memory.Write(PciRig.EcamAddress(offset, device, 0), width, value);
            return;
        }

        _ports.Write(0xcf8, 4, 0x8000_0000u | ((uint)device << 11) | ((uint)offset & 0xfc));
        _ports.Write(0xcfcu + ((uint)offset & 3), width, value);
    }

    private sealed class MoodyFunction() : PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "moody", ExtendedConfigurationSpace = true })
    {
        public Action Hook { get; init; } = static () => { };

        public Action Access { get; set; } = static () => { };

        public override uint ReadConfiguration(int offset, int width)
        {
            Access();
            return base.ReadConfiguration(offset, width);
        }

        public override void WriteConfiguration(int offset, int width, uint value)
        {
            Access();
            base.WriteConfiguration(offset, width, value);
        }

        protected override void OnBusMasterChanged() => Hook();

        protected override void OnInterruptModeChanged() => Hook();

        protected override void OnReset() => Hook();

        protected override void OnDecodingChanged() => CallIfDecoding();

        protected internal override void OnVectorsWritten(int first, int count) => Hook();

        private void CallIfDecoding()
        {
            if (Bars.Count > 0 && GetMappedAddress(0) is not null)
            {
                Hook();
            }
        }
    }
}
