using System;
using System.Linq;
using System.Security.Cryptography;
using System.Threading;
using Vmm.DeviceModel.Bus;
using Vmm.DeviceModel.State;
using Vmm.Machine.Layout;
using Vmm.Pci;
using Vmm.Pci.Bars;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Transport;
using Xunit.Abstractions;

namespace Vmm.Tests.Machine;

/// <summary>Saved machines that somebody tampered with.</summary>
[Trait("Behaviour", "CON-4")]
public sealed class MachineStateMutationTests(ITestOutputHelper output)
{
    private const int Mutations = 10_000;

    [Fact]
    public void Ten_thousand_mutations_are_refused_without_a_trace_or_give_a_machine_that_works()
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        var random = new Random(seed);
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        using var guest = new MovingGuest();
        var transport = new VirtioPciOptions { PackedRing = seed % 2 == 0 };
        using var first = new FurnishedMachine(transport, guest.Ram, content);
        guest.MoveTo(first.Rig);
        first.Rig.Guest().PowerOn();
        var drivers = new GuestDrivers(guest);
        drivers.Work(first, content);
        first.Pause();
        string json = first.Save();
        byte[] memory = guest.Content.ToArray();
        using var second = new FurnishedMachine(transport, guest.Ram, content);
        second.Restore(json);
        int refused = 0;
        int taken = 0;

        for (int i = 0; i < Mutations; i++)
        {
            string because = $"seed {seed}, mutation {i}";
            string mutated = StateMutator.Mutate(json, random);
            try
            {
                second.Restore(mutated);
            }
            catch (StateException e)
            {
                refused++;
                e.Message.Should().NotContain("\n", because);
                if (i % 16 == 0)
                {
                    second.Save().Should().Be(json, because);
                }

                continue;
            }

            taken++;
            second.Resume();
            Touch(second.Rig, random);
            second.Rig.Devices.HostBridge.Root.Functions.Sum(static function => function.Faults).Should().Be(0, because);
            second.Functions.Should().OnlyContain(static function => function.Faults == 0 && function.DeviceFailures == 0, because);
            second.Pause();
            Furnish(second);
            second.Restore(json);
            second.Save().Should().Be(json, because);
        }

        output.WriteLine($"{refused} refused, {taken} taken");
        refused.Should().BeGreaterThan(Mutations / 10);
        taken.Should().BeGreaterThan(Mutations / 100);

        // Devices whose place in a ring was another one have written there.
        memory.CopyTo(guest.Content);
        guest.MoveTo(second.Rig);
        second.Resume();
        drivers.Work(second, content);
        drivers.Dispose();
    }

    /// <summary>Reads and writes here and there what a guest can reach: nothing throws.</summary>
    private static void Touch(MachineRig rig, Random random)
    {
        foreach (AddressSpaceSegment segment in rig.Ports.Segments)
        {
            ulong port = segment.Start + (ulong)random.NextInt64((long)(segment.Last - segment.Start + 1));
            rig.Ports.Read(port, 1);
        }

        foreach (PciFunction function in rig.Devices.HostBridge.Root.Functions)
        {
            ulong place = MemoryLayout.EcamStart + ((ulong)function.Address.RequesterId << 12);
            rig.Memory.Read(place + ((ulong)random.Next(64) * 4), 4);
            foreach (PciBar bar in function.Bars)
            {
                if (function.GetMappedAddress(bar.Index) is { } address)
                {
                    rig.Memory.Read(address + ((ulong)random.Next((int)bar.Size / 4) * 4), 4);
                }
            }
        }
    }

    /// <summary>A removal that had been asked for, of a slot without power, has taken the disk away: it comes back.</summary>
    private static void Furnish(FurnishedMachine machine)
    {
        if (machine.FirstPort.Secondary.Find(0) is null)
        {
            SpinWait.SpinUntil(() => machine.Rig.Devices.Devices.All(static device => device.Id != "plugged"), FurnishedMachine.Patience)
                .Should().BeTrue("what the guest has let go of is disposed");
            machine.Plug();
            machine.Pause();
        }
    }
}
