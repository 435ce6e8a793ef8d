using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci.Access;
using Vmm.Tests.Fakes;
using Vmm.Vfio;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>Attach, reset, errors, requests and detach.</summary>
public sealed class PassthroughLifeCycleTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void The_device_is_not_reset_again_as_it_comes_and_let_go_in_order()
    {
        FakePciDevice device = VfioRig.Card();
        var rig = new VfioRig(device);
        device.Calls.Should().NotContain("reset", "it comes reset");
        rig.Enable();
        rig.Program(0, 0x30);
        rig.Write(0x72, 2, 0x8000);
        bool mapped = false;
        int live = 0;
        device.Calls.Clear();
        device.Fail = call =>
        {
            mapped |= call == "write 7 4 2 2" && rig.Rig.Slots.Mapped.Count != 0;
            live = call == "reset" ? device.LiveMappings : live;
            return false;
        };
        rig.Rig.Bridge.Root.Remove(rig.Function);
        device.Calls.Should().Equal("disable Msix", "write 7 4 2 2", "reset");
        mapped.Should().BeTrue("what the guest reaches is taken away after the device is quiet");
        live.Should().Be(1);
        rig.Rig.Slots.Mapped.Should().BeEmpty();
        rig.Function.Dispose();
        device.LiveMappings.Should().Be(0);
        device.Calls[3..].Should().Equal("dispose");
    }

    [Fact]
    [Trait("Behaviour", "CON-3")]
    [Trait("Behaviour", "VFIO-10")]
    public async Task A_device_whose_reset_does_not_end_holds_up_nobody_else()
    {
        using var resetting = new ManualResetEventSlim();
        using var gate = new ManualResetEventSlim();
        FakePciDevice device = VfioRig.Card();
        using var rig = new VfioRig(device);
        rig.Enable();
        device.Fail = call =>
        {
            if (call == "reset")
            {
                resetting.Set();
                gate.Wait(Patience);
            }

            return false;
        };
        Task removing = Start(() => rig.Rig.Bridge.Root.Remove(rig.Function));
        resetting.Wait(Patience).Should().BeTrue();

        using var other = PassthroughFunction.Attach(VfioRig.Card());
        await Start(() =>
        {
            rig.Rig.Bridge.Root.Add(other, device: 20);
            rig.Rig.Bridge.Root.Reset();
            rig.Rig.Bridge.Root.Remove(other);
        }).WaitAsync(Patience);

        removing.IsCompleted.Should().BeFalse("its reset has not ended");
        gate.Set();
        await removing.WaitAsync(Patience);
        rig.Function.Dispose();

        static Task Start(Action action) =>
            Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_function_that_was_never_on_a_bus_is_let_go_too()
    {
        FakePciDevice device = VfioRig.Card();
        var function = PassthroughFunction.Attach(device);
        device.Calls.Clear();
        function.Dispose();
        device.Calls.Should().Equal("write 7 4 2 2", "reset", "dispose");
    }

    [Theory]
    [Trait("Behaviour", "VFIO-5")]
    [Trait("Behaviour", "VFIO-10")]
    [InlineData("region 7")]
    [InlineData("region 0")]
    [InlineData("region 6")]
    [InlineData("interrupt 0")]
    [InlineData("interrupt 1")]
    [InlineData("interrupt 2")]
    [InlineData("interrupt 3")]
    [InlineData("interrupt 4")]
    public void Every_step_of_attach_that_fails_undoes_what_was_done(string step)
    {
        FakePciDevice device = VfioRig.Card();
        device.Fail = call => call == step;
        FluentActions.Invoking(() => PassthroughFunction.Attach(device)).Should().Throw<VfioException>().WithMessage("*on demand*");
        device.LiveMappings.Should().Be(0);
        device.IsDisposed.Should().BeFalse("it is the caller's again");
        device.Triggers(PciInterruptIndex.Error).Should().BeEmpty();
        device.Fail = null;
        PassthroughFunction.Attach(device).Dispose();
    }

    [Theory]
    [Trait("Behaviour", "VFIO-7")]
    [InlineData(0, 0xffff_ffff, "*no vendor ID*")]
    [InlineData(0xc, 0x0001_0000, "*header type 1*")]
    public void What_is_no_endpoint_is_refused_with_the_reason(int register, uint value, string message)
    {
        FakePciDevice device = VfioRig.Card();
        device.Set(register, 4, value);
        FluentActions.Invoking(() => PassthroughFunction.Attach(device)).Should().Throw<VfioException>().WithMessage(message);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-7")]
    public void A_device_without_configuration_space_is_refused()
    {
        FakePciDevice device = VfioRig.Card();
        device.SetRegion(PciRegionIndex.Configuration, new BackendRegion { Size = 64, CanRead = true, CanWrite = true });
        FluentActions.Invoking(() => PassthroughFunction.Attach(device)).Should().Throw<VfioException>().WithMessage("*0x40 bytes*");
    }

    [Theory]
    [Trait("Behaviour", "VFIO-10")]
    [InlineData(0x88, 4, 0x0000_8000)]
    [InlineData(0x88, 2, 0x8000)]
    [InlineData(0x89, 1, 0x80)]
    public void A_function_level_reset_of_the_guest_is_ours_with_any_width(int register, int width, uint value)
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Program(0, 0x30);
        rig.Write(0x72, 2, 0x8000);
        device.Calls.Clear();
        rig.Write(register, width, value);
        device.Calls.Should().ContainInOrder("disable Msix", "reset", "write 7 4 2 2");
        device.Calls.Should().NotContain(call => call.StartsWith("write 7 8") && call.EndsWith("8000"), "the bit does not reach the device");
        rig.Read(4, 2).Should().Be(0);
        rig.Read(0x10, 4).Should().Be(4);
        rig.Read(0x72, 2).Should().Be(3);
        rig.Function.GetMappedAddress(0).Should().BeNull();
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.None);
        rig.Enable();
        rig.Rig.Memory.Read(VfioRig.Bar0 + 0x200c, 4).Should().Be(1);
        rig.Function.InterruptMode.Should().Be(PassthroughInterruptMode.Pin);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void The_reset_of_a_conventional_function_is_ours_too()
    {
        FakePciDevice device = new FakePciDevice().AddBar(0, 0, 0x1000).SetCapabilities((0x40, 0x13, [6, 3, 0, 0]));
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Clear();
        rig.Write(0x44, 1, 1);
        device.Calls.Should().Equal("write 7 4 2 2", "reset", "write 7 4 2 2");
        rig.Read(0x40, 4).Should().Be(0x0306_0013);
    }

    [Theory]
    [Trait("Behaviour", "VFIO-10")]
    [InlineData(false, 3)]
    [InlineData(true, 1)]
    public void A_conventional_function_that_cannot_be_reset_does_not_offer_it(bool canReset, byte capabilities)
    {
        FakePciDevice device = new FakePciDevice().AddBar(0, 0, 0x1000).SetCapabilities((0x40, 0x13, [6, capabilities, 0, 0]));
        device.CanReset = canReset;
        using VfioRig rig = new VfioRig(device).Enable();
        device.Calls.Clear();

        (rig.Read(0x43, 1) & 2).Should().Be(0);
        rig.Write(0x44, 1, 1);

        device.Calls.Should().BeEmpty();
        rig.Read(4, 2).Should().Be(6, "nothing was reset");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_device_that_cannot_be_reset_does_not_offer_it_and_tries_with_its_bus()
    {
        FakePciDevice device = VfioRig.Card();
        device.CanReset = false;
        using var rig = new VfioRig(device);
        device.Calls[0].Should().Be("hot reset");
        (rig.Read(0x84, 4) & (1u << 28)).Should().Be(0);
        device.Calls.Clear();
        rig.Write(0x88, 2, 0x8000);
        device.Calls.Should().Equal("write 7 88 2 0");
        rig.Rig.Bridge.Root.Reset();
        device.Calls.Should().Contain("hot reset");
        rig.Function.FailedResets.Should().Be(1, "and it is reported");
        device.HotResetRefusal = null;
        rig.Rig.Bridge.Root.Reset();
        rig.Function.FailedResets.Should().Be(1);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void A_reset_of_the_machine_resets_the_device()
    {
        FakePciDevice device = VfioRig.Card();
        using VfioRig rig = new VfioRig(device).Enable();
        rig.Write(0x52, 2, 1);
        device.Calls.Clear();
        rig.Rig.Bridge.Root.Reset();
        device.Calls.Should().ContainInOrder("write 7 4 2 2", "disable Msi", "reset");
        rig.Read(4, 2).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-12")]
    public void Errors_and_requests_of_the_host_are_told_on_the_functions_worker()
    {
        FakePciDevice device = VfioRig.Card().AddInterrupt(PciInterruptIndex.Error, 1).AddInterrupt(PciInterruptIndex.Request, 1);
        using var error = new ManualResetEventSlim();
        using var request = new ManualResetEventSlim();
        var rig = new VfioRig(device, new PassthroughFunctionOptions { ErrorReported = _ => error.Set(), RemovalRequested = _ => request.Set() });
        device.Triggers(PciInterruptIndex.Error)[0]!.Signal();
        error.Wait(Patience).Should().BeTrue();
        request.IsSet.Should().BeFalse();
        device.Triggers(PciInterruptIndex.Request)[0]!.Signal();
        request.Wait(Patience).Should().BeTrue();
        rig.Dispose();
        device.Calls.Should().ContainInOrder("disable Error", "disable Request", "dispose");
    }

    [Fact]
    [Trait("Behaviour", "VFIO-12")]
    public void A_request_can_take_the_function_off_its_bus_from_another_thread()
    {
        FakePciDevice device = VfioRig.Card().AddInterrupt(PciInterruptIndex.Request, 1);
        VfioRig? rig = null;
        using var gone = new ManualResetEventSlim();
        using var ready = new ManualResetEventSlim();
        rig = new VfioRig(device, new PassthroughFunctionOptions
        {
            RemovalRequested = _ => new Thread(() =>
            {
                ready.Wait(Patience);
                rig!.Dispose();
                gone.Set();
            }).Start(),
        });
        rig.Enable();
        device.Triggers(PciInterruptIndex.Request)[0]!.Signal();
        ready.Set();
        gone.Wait(Patience).Should().BeTrue();
        device.IsDisposed.Should().BeTrue();
        rig.Read(0, 4).Should().Be(uint.MaxValue);
    }

    [Fact]
    [Trait("Behaviour", "VFIO-12")]
    public void A_device_that_refuses_to_be_watched_is_attached_all_the_same()
    {
        FakePciDevice device = VfioRig.Card().AddInterrupt(PciInterruptIndex.Error, 1).AddInterrupt(PciInterruptIndex.Request, 1);
        device.Fail = call => call.StartsWith("triggers Error");
        using var rig = new VfioRig(device);
        device.Triggers(PciInterruptIndex.Error).Should().BeEmpty();
        device.Triggers(PciInterruptIndex.Request).Should().ContainSingle();
    }

    [Fact]
    [Trait("Behaviour", "VFIO-10")]
    public void Failures_on_the_way_out_stop_nothing()
    {
        FakePciDevice device = VfioRig.Card();
        VfioRig rig = new VfioRig(device).Enable();
        device.Fail = call => call is "reset" || call.StartsWith("disable", StringComparison.Ordinal);
        rig.Dispose();
        device.IsDisposed.Should().BeTrue();
        device.LiveMappings.Should().Be(0);
        rig.Rig.Lines.Connections.Should().BeEmpty();
    }
}
