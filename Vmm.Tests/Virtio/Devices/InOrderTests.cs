using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Linq;
using Vmm.DeviceModel.Events;
using Vmm.Tests.Fakes;
using Vmm.Tests.Virtio.Transport;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Queues;
using Vmm.Virtio.Transport;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>VIRTIO_F_IN_ORDER (virtio 1.2, section 6): who offers it uses buffers in the order in which they were made available.</summary>
[Trait("Behaviour", "VQ-1")]
public sealed class InOrderTests
{
    [Fact]
    public void The_feature_is_offered_where_it_is_asked_for_and_the_device_can()
    {
        var able = new FakeVirtioDevice { InOrder = true };
        using var rig = new TransportRig(able, new VirtioPciOptions { InOrder = true });
        (rig.Driver.OfferedFeatures() & RingFeatures.InOrder).Should().NotBe(0);
        rig.Driver.Negotiate(TestDriver.Version1 | RingFeatures.InOrder).Should().BeTrue();
        using var silent = new TransportRig(new FakeVirtioDevice { InOrder = true });
        (silent.Driver.OfferedFeatures() & RingFeatures.InOrder).Should().Be(0);
        using var unable = new TransportRig(new FakeVirtioDevice(), new VirtioPciOptions { InOrder = true });
        (unable.Driver.OfferedFeatures() & RingFeatures.InOrder).Should().Be(0);
        unable.Driver.Negotiate(TestDriver.Version1 | RingFeatures.InOrder).Should().BeFalse();
    }

    [Theory]
    [BothForms]
    public void Block_requests_of_all_kinds_come_back_as_they_went_in(RingForm form)
    {
        using var file = new TemporaryFile(1 << 20);
        using var ram = new GuestRam();
        using var vector = new CountingVector();
        using var kick = new EventFd();
        using var disk = new BlockDevice(RawFileBackend.Open(file.Path, readOnly: false));
        disk.CompletesInOrder.Should().BeTrue();
        var driver = RingDriver.Create(form, ram, 256, RingFeatures.InOrder);
        disk.Start(driver.Features, new VirtioDeviceRig(disk, ram));
        var resources = new QueueResources { Configuration = driver.Configuration, Dma = ram.Dma, Kick = kick, Interrupt = vector };
        disk.TryStartQueue(resources, out _).Should().BeTrue();
        ulong room = ram.Allocate(513);
        var random = new Random(5);
        for (int round = 0; round < 40; round++)
        {
            // Reads, writes, flushes, write-zeroes, GET_ID, requests out of range, and types that nobody knows.
            List<uint> sent = [];
            for (int i = random.Next(1, 40); i > 0; i--)
            {
                byte[] header = new byte[16];
                BinaryPrimitives.WriteUInt32LittleEndian(header, (uint)new[] { 0, 1, 4, 8, 11, 13, 99 }[random.Next(7)]);
                BinaryPrimitives.WriteUInt64LittleEndian(header.AsSpan(8), (ulong)random.Next(4000));
                GuestBuffer[] buffers = [Readable(ram.Place(header), 16), Writable(room, 512), Writable(room + 512, 1)];
                sent.Add(driver.Add(buffers));
            }

            driver.Publish();
            kick.Signal();
            List<uint> back = [];
            Eventually.Holds(
                () =>
                {
                    while (driver.TryTakeUsed(out uint id, out _))
                    {
                        back.Add(id);
                    }

                    return back.Count == sent.Count;
                },
                "every request comes back");
            back.Should().Equal(sent);
        }
    }

    [Fact]
    public void Packets_and_their_buffers_come_back_as_they_went_in()
    {
        var backend = new FakeNetBackend();
        using VirtioDeviceRig net = new VirtioDeviceRig(new NetDevice(backend), features: 1UL << 15).Start();
        net.Device.CompletesInOrder.Should().BeTrue();
        ulong packet = net.Ram.Allocate(2000);
        var random = new Random(6);
        List<uint>[] sent = [[], []];
        List<uint>[] back = [[], []];
        for (int round = 0; round < 200; round++)
        {
            while (net.Drivers[0].FreeDescriptors > 0)
            {
                sent[0].Add(net.Drivers[0].Add(Writable(net.Ram.Allocate(512), (uint)random.Next(12, 512))));
            }

            sent[1].Add(net.Drivers[1].Add(Readable(packet, (uint)random.Next(1, 2000))));
            backend.Arrive(new byte[random.Next(1, 3000)]);
            net.Kick(0);
            net.Kick(1);
            for (int queue = 0; queue < 2; queue++)
            {
                back[queue].Add(net.WaitUsed(queue).Id);
                while (net.Drivers[queue].TryTakeUsed(out uint id, out _))
                {
                    back[queue].Add(id);
                }
            }
        }

        for (int queue = 0; queue < 2; queue++)
        {
            back[queue].Should().HaveCountGreaterThan(100).And.Equal(sent[queue].Take(back[queue].Count));
        }
    }
}
