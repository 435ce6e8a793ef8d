using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;
using static Vmm.Testing.Rings.GuestBuffer;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>Bytes that devices write are marked dirty after they are there, also where a request ends in an unusual way.</summary>
[Trait("Behaviour", "MEM-5")]
public sealed class DirtyToTheEndTests
{
    [Fact]
    public void What_a_back_end_wrote_before_it_threw()
    {
        using var ram = new GuestRam((0, 1 << 20));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(new FaultyBackend()), ram).Start();
        ulong data = ram.Allocate(512);
        RingDriver driver = disk.Drivers[0];
        driver.Add(Readable(ram.Place(BlockRequests.Header(BlockRequests.In, 0)), 16), Writable(data, 512), Writable(ram.Allocate(1), 1));
        var check = new DirtyCheck(ram, 1 << 20);
        driver.Publish();
        disk.Signal();
        disk.WaitNeedsReset();
        disk.Device.StopQueue(0);

        (HashSet<int> marked, List<int> changed) = check.End();

        changed.Should().Contain((int)data);
        changed.Where(address => (ulong)address != driver.Driver + 2).Should().BeSubsetOf(marked);
    }

    [Fact]
    public void The_status_of_a_chain_of_4_GiB()
    {
        const uint Piece = 32 << 20;
        const int Pieces = 128;
        using var ram = new GuestRam((0, 64 << 20));
        using VirtioDeviceRig disk = new VirtioDeviceRig(new BlockDevice(new GatedBlockBackend(static () => { })), ram).Start();
        ulong room = ram.Allocate(Piece, 4096);
        ulong status = ram.Place([0xaa]);

        // Without a header it is an error, and what the answer leaves empty is cleared.
        disk.Drivers[0].AddIndirect(
            [.. Enumerable.Repeat(Writable(room, Piece), Pieces - 1), Writable(room, Piece - 1), Writable(status, 1)]);
        var tracker = new LastSeen(ram, status);
        ram.Memory.DirtyTracker = tracker;
        disk.Kick();
        Eventually.Holds(() => disk.Drivers[0].HasUsed, "4 GiB are cleared some time");
        disk.Device.StopQueue(0);
        ram.Memory.DirtyTracker = null;

        ram.Read<byte>(status).Should().Be(BlockRequests.IoError);
        tracker.Value.Should().Be(BlockRequests.IoError, "whoever copies memory at each mark has what is there at the end");
    }

    /// <summary>Copies one byte whenever it is marked.</summary>
    private sealed class LastSeen(GuestRam ram, ulong place) : IDirtyTracker
    {
        private int _value = -1;

        public int Value => Volatile.Read(ref _value);

        public void MarkDirty(ulong address, ulong length)
        {
            if (place - address < length)
            {
                Volatile.Write(ref _value, ram.Read<byte>(place));
            }
        }
    }

    private sealed class FaultyBackend : SynchronousBlockBackend
    {
        public override long Length => 1 << 20;

        public override bool IsReadOnly => false;

        public override BlockStatus Read(long offset, GuestBuffers destination)
        {
            destination.Fill(7);
            throw new InvalidOperationException("a mistake in the back-end");
        }

        public override BlockStatus Write(long offset, GuestBuffers source) => BlockStatus.Ok;

        public override BlockStatus Flush() => BlockStatus.Ok;

        public override BlockStatus Discard(long offset, long length) => BlockStatus.Ok;

        public override BlockStatus WriteZeroes(long offset, long length, bool mayUnmap) => BlockStatus.Ok;
    }
}
