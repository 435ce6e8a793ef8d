using System;
using System.Threading.Tasks;
using Vmm.DeviceModel.Bus;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;
using Reg = Vmm.Virtio.Spec.CommonConfigurationOffset;

namespace Vmm.Tests.Virtio.Transport;

/// <summary>A driver that does anything at all, and the cost of one that does everything right.</summary>
public sealed class SurvivalTests
{
    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [Trait("Behaviour", "VTP-2")]
    public void Random_accesses_at_every_offset_and_width_never_fault_the_function(int seed)
    {
        using var rig = new TransportRig(options: new VirtioPciOptions { NotificationData = true });
        var random = new Random(seed);
        ulong size = rig.Function.Bars[0].Size;
        int[] widths = [1, 2, 4, 8, 3, 5, 6, 7];
        byte[] statuses = [0, 1, 3, 0xb, 0xf, 0x8f];
        for (int i = 0; i < 40_000; i++)
        {
            int width = widths[random.Next(widths.Length)];
            ulong at = rig.Driver.Bar + (random.Next(2) == 0 ? (ulong)random.Next(Reg.Length) : (ulong)random.NextInt64((long)size));
            ulong value = random.Next(4) switch
            {
                0 => 0,
                1 => (ulong)random.Next(4),
                2 => statuses[random.Next(statuses.Length)],
                _ => (ulong)random.NextInt64(),
            };
            switch (random.Next(6))
            {
                case 0:
                    rig.Memory.Read(at, width);
                    break;
                case 1:
                    int register = random.Next(64) * 4;
                    if (register is not (0x10 or 0x14 or 4))
                    {
                        rig.Driver.WriteConfig(register, 4, (uint)value);
                    }

                    break;
                case 2:
                    rig.Driver.ReadConfig(random.Next(64) * 4, 4);
                    break;
                case 3 when random.Next(8) == 0:
                    rig.Driver.Place(TransportRig.BarBase);
                    rig.Driver.Start(queues: [0, 1]);
                    break;
                default:
                    rig.Memory.Write(at, width, value);
                    break;
            }
        }

        rig.Function.Faults.Should().Be(0);
        foreach (AddressSpaceSegment segment in rig.Memory.Segments)
        {
            rig.Memory.IsFaulted(segment.Claim).Should().BeFalse(segment.Claim.Name);
        }

        rig.Domain.FailedEffects.Should().Be(0);
        rig.Driver.Place(TransportRig.BarBase);
        rig.Driver.Start(queues: [0, 1]);
        rig.Driver.Status.Should().Be(0xf, "a reset device works");
        rig.Device.Rings.Should().OnlyContain(ring => ring != null);
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    [Trait("Behaviour", "VTP-18")]
    public async Task Several_vCPUs_that_write_anything_at_once_leave_a_function_that_works()
    {
        using var rig = new TransportRig();
        var tasks = new Task[3];
        for (int t = 0; t < tasks.Length; t++)
        {
            int seed = t;
            tasks[t] = Task.Run(() =>
            {
                var random = new Random(seed);
                int[] offsets =
                [
                    Reg.DeviceStatus, Reg.QueueSelect, Reg.QueueEnable, Reg.QueueReset, Reg.DriverFeatureSelect, Reg.DriverFeature,
                    Reg.QueueDescriptors,
                ];
                ulong[] values = [0, 1, 3, 0xb, 0xf, 0x8f, 0xffffffff];
                for (int i = 0; i < 5_000; i++)
                {
                    int offset = offsets[random.Next(offsets.Length)];
                    int width = offset switch
                    {
                        Reg.DeviceStatus => 1,
                        Reg.QueueDescriptors => 8,
                        Reg.DriverFeature or Reg.DriverFeatureSelect => 4,
                        _ => 2,
                    };
                    rig.Memory.Write(rig.Driver.Common + (uint)offset, width, values[random.Next(values.Length)]);
                    rig.Memory.Read(rig.Driver.Common + (uint)offset, width);
                }
            });
        }

        await Task.WhenAll(tasks).WaitAsync(TimeSpan.FromSeconds(120));
        rig.Domain.FailedEffects.Should().Be(0);
        rig.Driver.Start(queues: [0, 1]);
        rig.Driver.Status.Should().Be(0xf);
    }

    [Fact]
    [Trait("Behaviour", "VTP-16")]
    public void A_broken_ring_reaches_the_driver_as_NEEDS_RESET()
    {
        using var rig = new TransportRig();
        rig.Driver.Start(queues: 0);
        Virtqueue ring = rig.Device.Rings[0]!;
        byte[] index = [0xff, 0xff];
        rig.Ram.TryWrite(TestDriver.Areas(0).Driver + 2, index).Should().BeTrue();
        using (ring.Enter())
        {
            ring.TryPop(new DescriptorChain()).Should().BeFalse();
        }

        ring.IsBroken.Should().BeTrue();
        rig.Device.LastHost!.NeedsReset(ring.BrokenReason!);
        rig.Driver.Status.Should().Be(0x4f);
        rig.Driver.Start(queues: 0);
        rig.Driver.Status.Should().Be(0xf);
    }

    [Fact]
    public void Registers_notifications_and_interrupts_allocate_nothing()
    {
        using var rig = new TransportRig(doorbells: false);
        rig.Msi.Records = false;
        rig.Driver.EnableMsix();
        rig.Driver.Start(queues: 0);
        ulong notify = rig.Driver.NotifyAddress(0);
        void Work()
        {
            for (int i = 0; i < 1000; i++)
            {
                rig.Memory.Read(rig.Driver.Common + Reg.DeviceStatus, 1);
                rig.Memory.Read(rig.Driver.Common + Reg.DeviceFeature, 4);
                rig.Memory.Read(rig.Driver.Common + Reg.ConfigGeneration, 1);
                rig.Memory.Read(rig.Driver.Common + Reg.QueueDescriptors, 4);
                rig.Memory.Write(rig.Driver.Common + Reg.QueueSelect, 2, 0);
                rig.Memory.Write(rig.Driver.Common + Reg.QueueMsixVector, 2, 1);
                rig.Memory.Read(rig.Driver.Config, 8);
                rig.Memory.Read(rig.Driver.Isr, 1);
                rig.Memory.Write(notify, 2, 0);
                rig.Device.Rings[0]!.Interrupt.Signal();
            }
        }

        Work();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Work();
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
    }

    [Fact]
    [Trait("Behaviour", "VTP-7")]
    public void A_driver_that_gets_ready_and_resets_again_and_again_allocates_nothing()
    {
        using var rig = new TransportRig();
        rig.Msi.Records = false;
        rig.Device.Records = false;
        rig.Driver.EnableMsix();
        ulong common = rig.Driver.Common;
        (ulong Driver, ulong Device) areas = (TestDriver.Areas(0).Driver, TestDriver.Areas(0).Device);
        int ready = 0;
        void Work()
        {
            for (int i = 0; i < 200; i++)
            {
                rig.Memory.Write(common + Reg.DeviceStatus, 1, 0);
                rig.Memory.Write(common + Reg.DeviceStatus, 1, 1);
                rig.Memory.Write(common + Reg.DeviceStatus, 1, 3);
                rig.Memory.Write(common + Reg.DriverFeatureSelect, 4, 1);
                rig.Memory.Write(common + Reg.DriverFeature, 4, 1);
                rig.Memory.Write(common + Reg.DeviceStatus, 1, 0xb);
                ready += rig.Memory.Read(common + Reg.DeviceStatus, 1) == 0xb ? 1 : 0;
                rig.Memory.Write(common + Reg.QueueSelect, 2, 0);
                rig.Memory.Write(common + Reg.QueueMsixVector, 2, 1);
                rig.Memory.Write(common + Reg.QueueDriver, 8, areas.Driver);
                rig.Memory.Write(common + Reg.QueueDevice, 8, areas.Device);
                rig.Memory.Write(common + Reg.QueueEnable, 2, 1);
            }
        }

        Work();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Work();
        (GC.GetAllocatedBytesForCurrentThread() - before).Should().Be(0);
        ready.Should().Be(400);
    }
}
