using System;
using System.Collections.Generic;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.Tests.Fakes;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Xunit.Abstractions;
using static Vmm.Testing.Rings.GuestBuffer;
using static Vmm.Tests.Virtio.Devices.BlockRequests;

namespace Vmm.Tests.Virtio.Devices;

/// <summary>
/// Completions by two other threads against resets, resets of a queue, unplugs and the removal of RAM, at random. A back-end that wrote into RAM that is
/// gone would end the process: it is unmapped.
/// </summary>
[Trait("Category", "Long")]
[Trait("Behaviour", "CON-2")]
[Trait("Behaviour", "CON-3")]
public sealed class DetachInterleavingTests(ITestOutputHelper output)
{
    private const ulong FarRam = 1UL << 32;
    private const int FarLength = 1 << 16;
    private const int QueueCount = 2;

    private static int Rounds => Soak.On ? 100_000 : 10_000;

    /// <summary>Who ends the requests.</summary>
    public enum Ending
    {
        /// <summary>Other threads.</summary>
        Threads,

        /// <summary>The worker, which fetches ends from a path of the queue's own.</summary>
        Worker,

        /// <summary>The kernel, by io_uring where it has that, and a file.</summary>
        Kernel,
    }

    [Theory]
    [InlineData(Ending.Threads)]
    [InlineData(Ending.Worker)]
    [InlineData(Ending.Kernel)]
    public void Nothing_is_completed_twice_or_written_where_no_RAM_is(Ending ending)
    {
        int seed = Environment.TickCount;
        output.WriteLine($"seed {seed}");
        using var scene = new Scene(seed, ending);
        for (int round = 0; round < Rounds; round++)
        {
            scene.Step();
        }

        scene.End();
        output.WriteLine(scene.Summary);
    }

    private sealed class Scene : IDisposable
    {
        private readonly Random _random;
        private readonly Ending _ending;
        private readonly TemporaryFile _file = new(1 << 20);
        private readonly GuestRam _ram = new((0, 16 << 20), (FarRam, FarLength));
        private readonly Thread[] _threads;
        private readonly ulong _headers;
        private readonly ulong _statuses;
        private readonly ulong _room;
        private readonly ulong _mark;
        private readonly HashSet<uint>[] _outstanding = [[], []];
        private HeldBlockBackend _backend;
        private VirtioDeviceRig? _disk;
        private GuestMemoryRegion? _far;
        private volatile bool _isOver;
        private volatile bool _hold;
        private long _completed;
        private int _resets;
        private int _removed;
        private int _refused;
        private int _unplugs;
        private int _drained;

        public Scene(int seed, Ending ending)
        {
            _ending = ending;
            _backend = new HeldBlockBackend(ending == Ending.Worker);
            _random = new Random(seed);
            _ram.Memory.PinLimit = TimeSpan.Zero;
            _far = _ram.Region(FarRam);
            _headers = _ram.Place(Header(In, 0));
            _statuses = _ram.Allocate(64);
            _room = _ram.Allocate(512);
            _mark = _ram.Mark;
            _threads = [Completer(seed + 1), Completer(seed + 2)];
            Plug();
        }

        public string Summary =>
            $"{_completed} completed, {_resets} resets, {_unplugs} unplugs, {_drained} times drained, RAM removed {_removed} times and kept {_refused} times";

        public void Step()
        {
            if (_hold && _random.Next(4) == 0)
            {
                _hold = false;
            }

            switch (_random.Next(40))
            {
                case < 16:
                    Post(_random.Next(QueueCount), _random.Next(1, 4));
                    break;
                case < 26:
                    Thread.Yield();
                    TakeUsed();
                    break;
                case < 29:
                    // The requests of the next steps stay where they are.
                    _hold = true;
                    break;
                case < 31:
                    Drain();
                    break;
                case < 33:
                    ResetQueue(_random.Next(QueueCount));
                    break;
                case < 35:
                    Reset();
                    break;
                case < 38:
                    ChangeRam();
                    break;
                default:
                    Unplug();
                    break;
            }
        }

        /// <summary>All that was begun ends, and everything is let go of.</summary>
        public void End()
        {
            _hold = false;
            Post(0, 1);
            Eventually.Holds(
                () =>
                {
                    TakeUsed();
                    return _outstanding[0].Count == 0 && _outstanding[1].Count == 0;
                },
                "every request of the last life completes");
            _disk!.ResetReasons.Should().BeEmpty();
            Eventually.Holds(() => _ram.Region(0).PinCount == 0 && _far is not { PinCount: > 0 }, "nothing is pinned any more");
            _completed.Should().BePositive();
            _resets.Should().BePositive();
            _removed.Should().BePositive();
            if (_ending != Ending.Kernel)
            {
                // A file is too quick to hold on to RAM in every run.
                _refused.Should().BePositive();
            }

            _unplugs.Should().BePositive();
            _drained.Should().BePositive();
        }

        public void Dispose()
        {
            _hold = false;
            _isOver = true;
            Array.ForEach(_threads, thread => thread.Join());
            _disk!.Dispose();
            _ram.Dispose();
            _file.Dispose();
        }

        private Thread Completer(int seed)
        {
            var thread = new Thread(() =>
            {
                var random = new Random(seed);
                while (!_isOver)
                {
                    HeldBlockBackend backend = Volatile.Read(ref _backend);
                    if (_hold || !backend.Held.TryDequeue(out BlockRequest? request))
                    {
                        Thread.Yield();
                        continue;
                    }

                    // As the host's DMA would, whatever has become of the device.
                    request.Buffers.Fill((byte)random.Next());
                    backend.End(request, BlockStatus.Ok);
                }
            })
            {
                IsBackground = true,
            };
            thread.Start();
            return thread;
        }

        private void Post(int queue, int count)
        {
            RingDriver driver = _disk!.Drivers[queue];
            for (; count > 0 && driver.FreeDescriptors >= 3; count--)
            {
                bool far = _far is not null && _random.Next(2) == 0;
                ulong room = far ? FarRam + (512UL * (uint)_random.Next(FarLength / 512)) : _room;
                _outstanding[queue].Add(driver.Add(Readable(_headers, 16), Writable(room, 512), Writable(_statuses, 1)));
            }

            _disk.Kick(queue);
        }

        private void TakeUsed()
        {
            for (int queue = 0; queue < QueueCount; queue++)
            {
                while (_disk!.Drivers[queue].TryTakeUsed(out uint id, out uint length))
                {
                    _outstanding[queue].Remove(id).Should().BeTrue($"chain {id} of queue {queue} completes once, in its own life");
                    length.Should().Be(513);
                    _completed++;
                }
            }
        }

        private void Drain()
        {
            var device = (BlockDevice)_disk!.Device;
            if (device.TryDrain(TimeSpan.FromMilliseconds(_hold ? 0 : 1)))
            {
                TakeUsed();
                ushort used = ((SplitRingDriver)_disk.Drivers[0]).UsedIndex;
                Thread.Yield();
                ((SplitRingDriver)_disk.Drivers[0]).UsedIndex.Should().Be(used, "a device that is drained does nothing");
                _drained++;
            }

            device.Resume();
        }

        private void ResetQueue(int queue)
        {
            _disk!.Device.PrepareStop(queue);
            _disk.Device.StopQueue(queue);
            TakeUsed();
            ushort used = ((SplitRingDriver)_disk.Drivers[queue]).UsedIndex;
            ReleaseSomething();
            ((SplitRingDriver)_disk.Drivers[queue]).UsedIndex.Should().Be(used, "a queue that has stopped is not written");
            _outstanding[queue].Clear();
            _disk.Drivers[queue] = new SplitRingDriver(_ram, 64, _disk.Features, queue);
            _disk.StartQueue(queue, null);
            _resets++;
        }

        private void Reset()
        {
            _disk!.Device.Reset();
            ReleaseSomething();
            Start();
            _resets++;
        }

        private void Unplug()
        {
            _disk!.Dispose();

            // What was begun goes on there, with other devices.
            HeldBlockBackend former = _backend;
            Plug();
            while (former.Held.TryDequeue(out BlockRequest? request))
            {
                request.Buffers.Fill(1);
                former.End(request, BlockStatus.Ok);
            }

            _unplugs++;
        }

        private void ChangeRam()
        {
            if (_far is null)
            {
                _far = _ram.AddRegion(FarRam, FarLength);
                return;
            }

            // The guest lets go of it first, as Linux does: what it has posted and the device has not taken would break the ring.
            if (_outstanding[0].Count + _outstanding[1].Count != 0)
            {
                _disk!.Device.Reset();
            }

            try
            {
                _ram.RemoveRegion(_far);
                _far = null;
                _removed++;
            }
            catch (PinnedMemoryException)
            {
                _refused++;
            }

            Start();
        }

        private void ReleaseSomething()
        {
            if (_backend.Held.TryDequeue(out BlockRequest? request))
            {
                request.Buffers.Fill(2);
                _backend.End(request, BlockStatus.IoError);
            }
        }

        private void Plug()
        {
            Volatile.Write(ref _backend, new HeldBlockBackend(_ending == Ending.Worker));
            IBlockBackend backend = _ending == Ending.Kernel ? RawFileBackend.Open(_file.Path, readOnly: true, direct: true) : _backend;
            var options = new BlockDeviceOptions { QueueCount = QueueCount, QueueSize = 64, StopLimit = TimeSpan.Zero };
            _disk = new VirtioDeviceRig(new BlockDevice(backend, options), _ram, ownsRam: false);
            Start();
        }

        private void Start()
        {
            Array.ForEach(_outstanding, static ids => ids.Clear());
            _disk!.Device.Reset();
            _ram.Rewind(_mark);
            _disk.Drivers.Clear();
            _disk.Vectors.Clear();
            _disk.Start();
        }
    }
}
