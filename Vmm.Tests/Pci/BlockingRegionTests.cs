using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.Pci;
using Vmm.Pci.Bars;

namespace Vmm.Tests.Pci;

/// <summary>BAR regions whose handlers may wait for another process.</summary>
public sealed class BlockingRegionTests
{
    private const int Command = 4;
    private const int Bar0 = 0x10;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    [Theory]
    [InlineData(PciBarKind.Memory32)]
    [InlineData(PciBarKind.Io)]
    [Trait("Behaviour", "BUS-12")]
    public async Task Other_functions_move_reset_and_leave_while_a_region_is_blocked(PciBarKind kind)
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        PciFunction slow = rig.Add(PciRig.Function(BlockingBar(kind, blocked)), 3);
        PciFunction quick = rig.Add(PciRig.Function(PciRig.Bar(0, kind, 0x100, new ConstantHandler(1))), 4);
        Enable(rig, 3, 0x4000);
        Enable(rig, 4, 0x5000);
        AddressSpace space = kind == PciBarKind.Io ? rig.Ports : rig.Memory;
        Task<ulong> access = OnThread(() => space.Read(0x4000, 4));
        blocked.Entered.Wait();

        await Within(OnThread(() =>
        {
            rig.Write(Bar0, 4, 0x6000, device: 4);
            quick.Reset();
            Enable(rig, 4, 0x7000);
            rig.Bridge.Root.Remove(quick);
            rig.Add(PciRig.Function(PciRig.Bar(0, kind, 0x100, new ConstantHandler(1))), 5);

            // The guest's own doing with the blocked one does not wait either.
            rig.Write(Bar0, 4, 0x8000);
            rig.Write(Command, 2, 0);
            rig.Write(Command, 2, 3);
            return true;
        }));
        access.IsCompleted.Should().BeFalse();
        slow.GetMappedAddress(0).Should().Be(0x8000);

        Task<bool> removal = OnThread(() =>
        {
            rig.Bridge.Root.Remove(slow);
            return blocked.Returned;
        });
        SpinWait.SpinUntil(() => slow.Bus is null, Limit).Should().BeTrue();
        removal.IsCompleted.Should().BeFalse("an access to it is in flight");
        await Within(OnThread(() =>
        {
            // Neither the topology nor the decoding of others is held up.
            rig.Add(PciRig.Function(PciRig.Bar(0, kind, 0x100, new ConstantHandler(1))), 6);
            Enable(rig, 6, 0x9000);
            return true;
        }));
        removal.IsCompleted.Should().BeFalse();

        blocked.Go.Set();
        (await Within(removal)).Should().BeTrue();
        (await Within(access)).Should().Be(BlockedHandler.Value);
        rig.Bridge.Dispose();
    }

    [Fact]
    [Trait("Behaviour", "BUS-12")]
    public async Task Disposal_waits_for_the_access_in_flight()
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        PciFunction slow = rig.Add(PciRig.Function(BlockingBar(PciBarKind.Memory32, blocked)), 3);
        Enable(rig, 3, 0x4000);
        Task<ulong> access = OnThread(() => rig.Memory.Read(0x4000, 4));
        blocked.Entered.Wait();
        Task<bool> disposal = OnThread(() =>
        {
            rig.Bridge.Dispose();
            return blocked.Returned;
        });
        SpinWait.SpinUntil(() => slow.Bus is null, Limit).Should().BeTrue();
        disposal.IsCompleted.Should().BeFalse();
        blocked.Go.Set();
        (await Within(disposal)).Should().BeTrue();
        await Within(access);
    }

    [Fact]
    [Trait("Behaviour", "BUS-8")]
    public async Task A_fault_after_the_guest_turned_decoding_off_keeps_the_region_out_of_service()
    {
        var rig = new PciRig();
        using var go = new ManualResetEventSlim();
        using var entered = new ManualResetEventSlim();
        int calls = 0;
        var handler = new DelegateHandler((_, _) =>
        {
            Interlocked.Increment(ref calls);
            entered.Set();
            go.Wait();
            throw new InvalidOperationException("of the device");
        });
        rig.Add(PciRig.Function(BlockingBar(PciBarKind.Memory32, handler)), 3);
        Enable(rig, 3, 0x4000);
        Task<ulong> access = OnThread(() => rig.Memory.Read(0x4000, 4));
        entered.Wait();
        rig.Write(Command, 2, 0);
        rig.Write(Command, 2, 2);
        go.Set();
        (await Within(access)).Should().Be(0xffff_ffff);

        rig.Memory.Read(0x4000, 4).Should().Be(0xffff_ffff);
        calls.Should().Be(1);
        rig.Memory.HandlerFaults.Should().Be(1);
        rig.Bridge.Dispose();
    }

    private static PciBar BlockingBar(PciBarKind kind, IRegionHandler handler)
    {
        return new PciBar(0, kind, 0x100, [new PciBarRegion("slow", 0, 0x80, handler) { IsBlocking = true }]);
    }

    private static void Enable(PciRig rig, int device, uint address)
    {
        rig.Write(Bar0, 4, address, device);
        rig.Write(Command, 2, 3, device);
    }

    private static Task<T> OnThread<T>(Func<T> body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static Task<T> Within<T>(Task<T> task) => task.WaitAsync(Limit);
}
