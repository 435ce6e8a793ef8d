using System;
using System.Threading;
using System.Threading.Tasks;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Pci.Bridges;
using Vmm.Tests.Fakes;
using Vmm.Tests.Pci;
using Vmm.Vfio.Passthrough;

namespace Vmm.Tests.Vfio.Passthrough;

/// <summary>A bridge's Command register switches what lies behind it, and a device of the host takes its time to follow.</summary>
[Trait("Behaviour", "CON-3")]
public sealed class BridgeBusMasterTests
{
    private const int Command = 4;
    private const int Bar0 = 0x10;
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Others_move_and_leave_while_the_host_is_slow_to_switch_a_device_behind_a_bridge()
    {
        using var asked = new ManualResetEventSlim();
        using var go = new ManualResetEventSlim();
        bool slow = false;
        FakePciDevice device = VfioRig.Card();
        var bridges = new BridgeRig();
        PciRootPort port = bridges.AddPort();
        var passed = PassthroughFunction.Attach(device);
        port.Secondary.Add(passed, 0);
        PciFunction other = PciRig.Function(PciRig.Bar(0, PciBarKind.Memory32, 0x1000, new Vmm.Testing.Seams.ConstantHandler(1)));
        bridges.Rig.Add(other, 4);
        bridges.Host.Root.AssignResources();
        bridges.Write(port, Command, 2, 6);
        bridges.Write(passed, Command, 2, 6);
        device.Fail = call =>
        {
            if (Volatile.Read(ref slow) && call.StartsWith("write 7 4 2", StringComparison.Ordinal))
            {
                asked.Set();
                go.Wait(Limit);
            }

            return false;
        };
        Volatile.Write(ref slow, true);

        Task access = OnThread(() => bridges.Write(port, Command, 2, 2));
        asked.Wait(Limit).Should().BeTrue("the device behind the bridge is to stop its own accesses to memory");
        await OnThread(() =>
        {
            bridges.Write(other, Bar0, 4, 0xc800_0000);
            bridges.Write(other, Command, 2, 2);
            other.GetMappedAddress(0).Should().Be(0xc800_0000);
            bridges.Host.Root.Remove(other);
        }).WaitAsync(Limit);

        access.IsCompleted.Should().BeFalse();
        go.Set();
        await access.WaitAsync(Limit);
        device.Calls.Should().Contain("write 7 4 2 2");
        bridges.Host.Dispose();
    }

    private static Task OnThread(Action body)
    {
        return Task.Factory.StartNew(body, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }
}
