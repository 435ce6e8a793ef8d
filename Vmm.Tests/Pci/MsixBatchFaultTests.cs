using System;
using System.Threading.Tasks;

namespace Vmm.Tests.Pci;

/// <summary>An exception of the hypervisor's side while vectors change together leaves none of them out of reach.</summary>
public sealed class MsixBatchFaultTests
{
    [Fact]
    [Trait("Behaviour", "BUS-8")]
    [Trait("Behaviour", "KVM-5")]
    public async Task A_sink_that_throws_holds_up_nobody_who_comes_to_the_vectors_later()
    {
        var rig = new MsixRig();
        for (int vector = 0; vector < 3; vector++)
        {
            rig.Program(vector, 0xfee00000, (uint)(0x40 + vector));
            rig.Msix[vector].GetEventFd();
        }

        rig.Enable(functionMask: true);
        for (int vector = 0; vector < 3; vector++)
        {
            rig.Msix[vector].Signal();
        }

        rig.Rig.Sink.Arrived = static () => throw new InvalidOperationException("a mistake in the hypervisor");
        rig.Enable();
        rig.Rig.Sink.Arrived = null;

        rig.Function.Faults.Should().Be(1);
        var later = Task.Run(() =>
        {
            rig.Mask(2, true);
            rig.Mask(2, false);
            rig.PendingBits();
        });
        await later.WaitAsync(TimeSpan.FromSeconds(10));
    }
}
