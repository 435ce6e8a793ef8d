using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Epochs;
using Vmm.Pci;
using Vmm.Pci.Bars;

namespace Vmm.Tests.Pci;

/// <summary>Functions whose configuration accesses may wait for another process, as those of a device of the host do.</summary>
[Trait("Behaviour", "BUS-12")]
[Trait("Behaviour", "CON-3")]
public sealed class BlockingConfigurationTests
{
    private const int Slow = 0x40;
    private const int CommandRegister = 4;
    private const int Bar0 = 0x10;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData(false, 1)]
    [InlineData(false, 4)]
    [InlineData(false, 8)]
    [InlineData(true, 4)]
    public async Task Other_functions_move_reset_and_leave_while_an_access_is_blocked(bool byPorts, int width)
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        var slow = new SlowFunction(blocked);
        rig.Add(slow, 3);
        PciFunction quick = rig.Add(Quick(), 4);
        rig.Write(Bar0, 4, 0x5000, 4);
        rig.Write(CommandRegister, 2, 2, 4);
        Task<ulong> access = OnThread(() => byPorts ? rig.PortRead(Slow, width) : rig.Memory.Read(PciRig.EcamAddress(Slow, 3, 0), width));
        blocked.Entered.Wait();

        await Within(OnThread(() =>
        {
            rig.Write(Bar0, 4, 0x6000, 4);
            quick.GetMappedAddress(0).Should().Be(0x6000);
            quick.Reset();
            rig.Bridge.Root.Remove(quick);
            rig.Add(Quick(), 5);
            return true;
        }));
        access.IsCompleted.Should().BeFalse();

        Task<bool> removal = OnThread(() =>
        {
            rig.Bridge.Root.Remove(slow);
            return blocked.Returned;
        });
        SpinWait.SpinUntil(() => slow.Bus is null, Limit).Should().BeTrue();
        await Within(OnThread(() => rig.Add(Quick(), 6)));
        removal.IsCompleted.Should().BeFalse("an access to it is in flight");

        blocked.Go.Set();
        (await Within(removal)).Should().BeTrue();
        ulong expected = width == 8 ? BlockedHandler.Value | (BlockedHandler.Value << 32) : BlockedHandler.Value & (ulong.MaxValue >> (64 - (8 * width)));
        (await Within(access)).Should().Be(expected);
        rig.Bridge.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_blocked_write_holds_up_nobody_and_what_it_sets_off_follows_it(bool byPorts)
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        var slow = new SlowFunction(blocked);
        slow.AddBar(PciRig.Bar(0, PciBarKind.Memory32, 0x100, new ConstantHandler(1)));
        rig.Add(slow, 3);
        PciFunction quick = rig.Add(Quick(), 4);
        rig.Write(Bar0, 4, 0x5000, 3);
        Task<ulong> access = OnThread(() =>
        {
            if (byPorts)
            {
                rig.PortWrite(CommandRegister, 2, 2);
            }
            else
            {
                rig.Write(CommandRegister, 2, 2);
            }

            return slow.GetMappedAddress(0) ?? 0;
        });
        blocked.Entered.Wait();
        await Within(OnThread(() =>
        {
            rig.Bridge.Root.Remove(quick);
            return true;
        }));
        access.IsCompleted.Should().BeFalse();

        blocked.Go.Set();
        (await Within(access)).Should().Be(0x5000);
        rig.Bridge.Dispose();
    }

    [Fact]
    public async Task A_disposal_waits_for_the_access_in_flight()
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        var slow = new SlowFunction(blocked);
        rig.Add(slow, 3);
        Task<uint> access = OnThread(() => rig.Read(Slow, 4));
        blocked.Entered.Wait();
        Task<bool> disposal = OnThread(() =>
        {
            rig.Bridge.Dispose();
            return blocked.Returned;
        });
        SpinWait.SpinUntil(() => slow.Bus is null, Limit).Should().BeTrue();
        disposal.IsCompleted.Should().BeFalse();
        slow.IsDisposed.Should().BeFalse();
        blocked.Go.Set();
        (await Within(disposal)).Should().BeTrue();
        (await Within(access)).Should().Be((uint)BlockedHandler.Value);
    }

    [Fact]
    [Trait("Behaviour", "BUS-6")]
    public async Task An_access_inside_another_stay_in_the_epoch_does_not_end_it()
    {
        var rig = new PciRig();
        using var blocked = new BlockedHandler();
        rig.Add(new SlowFunction(blocked), 3);
        Task<uint> access = OnThread(() =>
        {
            using AccessDomain.ReadScope around = rig.Memory.Domain.Enter();
            return rig.Read(Slow, 4);
        });
        blocked.Entered.Wait();
        Task<bool> waiter = OnThread(() =>
        {
            rig.Memory.Domain.Synchronize();
            return blocked.Returned;
        });
        Thread.Sleep(50);
        waiter.IsCompleted.Should().BeFalse("somebody relies on the stay around the access");
        blocked.Go.Set();
        (await Within(waiter)).Should().BeTrue();
        await Within(access);
        rig.Bridge.Dispose();
    }

    private static PciFunction Quick() => PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x100, new ConstantHandler(1)));

    private static Task<T> OnThread<T>(Func<T> body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    private static Task<T> Within<T>(Task<T> task) => task.WaitAsync(Limit);

    private sealed class SlowFunction(BlockedHandler blocked)
        : PciFunction(PciRig.Identity, new PciFunctionOptions { Name = "slow", IsConfigurationBlocking = true })
    {
        public bool IsDisposed { get; private set; }

        public override uint ReadConfiguration(int offset, int width) =>
            offset >= Slow ? (uint)blocked.Read((ulong)offset, width) : base.ReadConfiguration(offset, width);

        public override void WriteConfiguration(int offset, int width, uint value)
        {
            if (offset == CommandRegister)
            {
                blocked.Write((ulong)offset, width, value);
            }

            base.WriteConfiguration(offset, width, value);
        }

        protected override void Dispose(bool disposing)
        {
            IsDisposed = true;
            base.Dispose(disposing);
        }
    }
}
