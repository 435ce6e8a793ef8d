using System;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Threading;
using Vmm.DeviceModel.Events;
using Vmm.DeviceModel.Interop;
using Vmm.DeviceModel.Memory;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;
using Vmm.Virtio.Queues;

namespace Vmm.Benchmarks.Io;

/// <summary>A block device with its worker, and a driver on the calling thread that reads 4 KiB at random and sleeps between interrupts.</summary>
internal sealed unsafe class DiskMachine : IQueueInterrupt, IVirtioDeviceHost, IDisposable
{
    private const int QueueSize = 512;
    private const int BlockSize = 4096;
    private const ulong Descriptors = 0x1_0000;
    private const ulong Available = 0x1_4000;
    private const ulong Used = 0x1_6000;
    private const ulong Headers = 0x10_0000;
    private const ulong Statuses = 0x11_0000;
    private const ulong Data = 0x20_0000;
    private const long Length = 64 << 20;

    private readonly GuestMemory _memory = new();
    private readonly HostMemory _ram = HostMemory.AllocateAnonymous(Length);
    private readonly EventFd _interrupt = new();
    private readonly EventFd _kick = new();
    private readonly BlockDevice _disk;
    private readonly string _schedule;
    private readonly byte* _guest;
    private readonly int[] _free;
    private int _freeCount;
    private ushort _available;
    private ushort _used;
    private ulong _random = 1;
    private long _interrupts;

    public DiskMachine(RawFileBackend backend, int depth, TimeSpan? pollLimit = null)
    {
        _memory.Add(0, _ram, 0, Length);
        _guest = _ram.Pointer;
        _free = new int[depth];
        for (int slot = 0; slot < depth; slot++)
        {
            _free[_freeCount++] = slot;
            SetDescriptor(3 * slot, Headers + (16 * (ulong)slot), 16, 1, (3 * slot) + 1);
            SetDescriptor((3 * slot) + 1, Data + (BlockSize * (ulong)slot), BlockSize, 3, (3 * slot) + 2);
            SetDescriptor((3 * slot) + 2, Statuses + (16 * (ulong)slot), 1, 2, 0);
        }

        var options = new BlockDeviceOptions { Id = "bench", QueueSize = QueueSize, StopLimit = TimeSpan.FromSeconds(10) };
        _disk = new BlockDevice(backend, options with { PollLimit = pollLimit ?? options.PollLimit });
        const ulong Features = RingFeatures.EventIndex | (1UL << 32);
        _disk.OnFeaturesNegotiated(Features);
        _disk.Start(Features, this);
        var resources = new QueueResources
        {
            Configuration = new VirtqueueConfiguration
            {
                Index = 0,
                Size = QueueSize,
                Descriptors = Descriptors,
                Driver = Available,
                Device = Used,
                Features = Features,
            },
            Dma = new DmaTarget(_memory),
            Kick = _kick,
            Interrupt = this,
        };
        if (!_disk.TryStartQueue(resources, out string? reason))
        {
            throw new InvalidOperationException(reason);
        }

        int worker = Processors.FindThread("bench");
        Processors.Pin(worker, 1);
        _schedule = $"/proc/self/task/{worker}/schedstat";
    }

    public void Signal()
    {
        _interrupts++;
        _interrupt.Signal();
    }

    public EventFd GetEventFd() => _interrupt;

    public void ConfigurationChanged()
    {
    }

    public void NeedsReset(string reason, Exception? failure = null) => Console.Error.WriteLine($"the device needs a reset: {reason}");

    /// <summary>Keeps all the requests under way for a time, and lets them end.</summary>
    public IoSample Measure(TimeSpan time)
    {
        ulong blocks = (ulong)(_disk.Backend.Length / BlockSize);
        long done = 0;
        long interrupts = Volatile.Read(ref _interrupts);
        long processor = ProcessorTime();
        long start = Stopwatch.GetTimestamp();
        long end = start + (long)(time.TotalSeconds * Stopwatch.Frequency);
        int flying = 0;
        bool stop = false;
        while (flying > 0 || !stop)
        {
            stop = stop || Stopwatch.GetTimestamp() > end;
            flying += stop ? 0 : Post(blocks);
            if (flying > 0)
            {
                WaitUsed();
            }

            int taken = TakeUsed();
            flying -= taken;
            done += taken;
        }

        double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new IoSample(
            done / elapsed, (double)(ProcessorTime() - processor) / done, (double)(Volatile.Read(ref _interrupts) - interrupts) / done);
    }

    public void Dispose()
    {
        _disk.Dispose();
        _ram.Dispose();
        _kick.Dispose();
        _interrupt.Dispose();
    }

    private int Post(ulong blocks)
    {
        ushort before = _available;
        while (_freeCount > 0)
        {
            int slot = _free[--_freeCount];
            _random = (_random * 6364136223846793005) + 1442695040888963407;
            *(ulong*)(_guest + Headers + (16 * (ulong)slot)) = 0;
            *(ulong*)(_guest + Headers + (16 * (ulong)slot) + 8) = (_random >> 33) % blocks * (BlockSize / 512);
            _guest[Statuses + (16 * (ulong)slot)] = 0xff;
            *(ushort*)(_guest + Available + 4 + (2 * (ulong)(_available % QueueSize))) = (ushort)(3 * slot);
            _available++;
        }

        if (_available != before)
        {
            Volatile.Write(ref *(ushort*)(_guest + Available + 2), _available);
            Interlocked.MemoryBarrier();
            ushort asked = *(ushort*)(_guest + Used + 4 + (8 * QueueSize));
            if ((ushort)(_available - asked - 1) < (ushort)(_available - before))
            {
                _kick.Signal();
            }
        }

        return (ushort)(_available - before);
    }

    private void WaitUsed()
    {
        ref ushort index = ref *(ushort*)(_guest + Used + 2);
        while (Volatile.Read(ref index) == _used)
        {
            *(ushort*)(_guest + Available + 4 + (2 * QueueSize)) = _used;
            Interlocked.MemoryBarrier();
            if (Volatile.Read(ref index) == _used)
            {
                var wait = new Libc.pollfd { fd = _interrupt.Descriptor, events = Libc.POLLIN };
                _ = Libc.poll(&wait, 1, -1);
                _interrupt.TryConsume(out _);
            }
        }
    }

    private int TakeUsed()
    {
        ushort latest = Volatile.Read(ref *(ushort*)(_guest + Used + 2));
        int taken = 0;
        for (; _used != latest; _used++, taken++)
        {
            int slot = (int)*(uint*)(_guest + Used + 4 + (8 * (ulong)(_used % QueueSize))) / 3;
            if (_guest[Statuses + (16 * (ulong)slot)] != 0)
            {
                throw new InvalidOperationException("the device failed a read");
            }

            _free[_freeCount++] = slot;
        }

        return taken;
    }

    private void SetDescriptor(int index, ulong address, uint length, ushort flags, int next)
    {
        byte* descriptor = _guest + Descriptors + (16 * (ulong)index);
        *(ulong*)descriptor = address;
        *(uint*)(descriptor + 8) = length;
        *(ushort*)(descriptor + 12) = flags;
        *(ushort*)(descriptor + 14) = (ushort)next;
    }

    private long ProcessorTime() => long.Parse(File.ReadAllText(_schedule).Split(' ')[0], CultureInfo.InvariantCulture);
}
