using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Requests that end on several threads in any order, over every form of ring: nothing is lost, doubled or mixed up.</summary>
[Trait("Category", "Long")]
[Trait("Behaviour", "CON-2")]
[Trait("Behaviour", "VQ-1")]
public sealed class OutOfOrderTests
{
    private const int Seed = 20261130;

    private static long Chains => Soak.On ? 700_000 : 7_000;

    public static TheoryData<RingForm, bool, bool, bool> Forms()
    {
        var forms = new TheoryData<RingForm, bool, bool, bool>();
        foreach (int bits in Enumerable.Range(0, 16))
        {
            forms.Add((bits & 1) != 0 ? RingForm.Packed : RingForm.Split, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0);
        }

        return forms;
    }

    [Theory]
    [MemberData(nameof(Forms))]
    public void Every_request_completes_once_with_its_own_answer(RingForm form, bool eventIndex, bool inOrder, bool indirect)
    {
        ulong features = (eventIndex ? RingFeatures.EventIndex : 0) | (inOrder ? RingFeatures.InOrder : 0)
            | (indirect ? RingFeatures.IndirectDescriptors : 0);
        using var ram = new GuestRam();
        using var device = new ScramblingDevice(threads: 3, Seed);
        using var host = new VirtioDeviceRig(device, ram);
        using var interrupt = new CountingVector();
        using var kick = new EventFd();
        var driver = RingDriver.Create(form, ram, form == RingForm.Packed ? 60 : 64, features);
        device.Start(features, host);
        var resources = new QueueResources { Configuration = driver.Configuration, Dma = ram.Dma, Kick = kick, Interrupt = interrupt };
        device.TryStartQueue(resources, out string? reason).Should().BeTrue(reason);

        int needed = indirect ? 1 : 2;
        var slots = new Stack<int>(Enumerable.Range(0, driver.Size));
        ulong places = ram.Allocate(16UL * driver.Size);
        ulong tables = ram.Allocate(32UL * driver.Size);
        var requestOf = new Dictionary<uint, (ulong Number, int Slot)>();
        var order = new Queue<uint>();
        ulong sent = 0;
        long completed = 0;
        while (completed < Chains)
        {
            bool added = false;
            while (driver.FreeDescriptors >= needed && (long)sent < Chains)
            {
                int slot = slots.Pop();
                ulong place = places + (16UL * (uint)slot);
                ram.Write(place, sent);
                ram.Write(place + 8, 0UL);
                ushort id = indirect
                    ? driver.AddIndirectAt(tables + (32UL * (uint)slot), Readable(place, 8), Writable(place + 8, 8))
                    : driver.Add(Readable(place, 8), Writable(place + 8, 8));
                requestOf.Add(id, (sent++, slot));
                order.Enqueue(id);
                driver.Publish();
                added = true;
            }

            if (added && driver.NeedsKick())
            {
                kick.Signal();
            }

            while (driver.TryTakeUsed(out uint id, out uint length))
            {
                requestOf.Remove(id, out (ulong Number, int Slot) request).Should().BeTrue($"chain {id} is completed once");
                length.Should().Be(8);
                ram.Read<ulong>(places + (16UL * (uint)request.Slot) + 8).Should().Be(~request.Number);
                if (inOrder)
                {
                    id.Should().Be(order.Dequeue());
                }

                slots.Push(request.Slot);
                completed++;
            }

            if (completed < (long)sent && driver.FreeDescriptors < needed && !driver.EnableInterrupts())
            {
                interrupt.Wait(60_000).Should().BeTrue($"{completed} of {sent} are completed ({string.Join("; ", host.ResetReasons)})");
            }
        }

        requestOf.Should().BeEmpty();
        device.StopQueue(0)!.UsedIndex.Should().Be(Expected(driver, sent, needed));
        ram.Region(0).PinCount.Should().Be(0);
        host.ResetReasons.Should().BeEmpty();
    }

    /// <summary>Where the device stands after so many chains.</summary>
    private static ushort Expected(RingDriver driver, ulong chains, int descriptors)
    {
        if (driver is not PackedRingDriver)
        {
            return (ushort)chains;
        }

        ulong passed = chains * (ulong)descriptors;
        return (ushort)((passed % driver.Size) | ((passed / driver.Size) % 2 == 0 ? 0x8000UL : 0));
    }
}
