using System;
using System.Buffers.Binary;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Samples.Balloon;

/// <summary>A memory balloon (virtio 1.2, 5.5): the guest gives pages to the host when it is asked to, and tells how it does.</summary>
public sealed class BalloonDevice(BalloonOptions options, GuestMemory memory) : WorkerDevice(options, queueCount: 3)
{
    private const int PageSize = 4096;
    private const int InflateQueue = 0;
    private const int StatisticsQueue = 2;
    private const ulong StatisticsFeature = 1 << 1;
    private static readonly RegisterMap<BalloonDevice> Map = new("balloon", length: 8, RegisterPolicy.Lanes)
    {
        { 0, 4, RegisterAccess.ReadOnly, "num_pages", static d => d._target },
        { 4, 4, RegisterAccess.ReadWrite, "actual", static d => d._actual, static (d, v, mask) => d._actual = (uint)((d._actual & ~mask) | v) },
    };

    // Plus one each, so that zero is nothing.
    private readonly ulong[] _statistics = new ulong[10];
    private volatile uint _target;
    private volatile uint _actual;
    private volatile StatisticsHandler? _statisticsHandler;
    private long _discardedPages;

    public override VirtioDeviceType DeviceType => (VirtioDeviceType)5;
    public override ulong OfferedFeatures => OfferedRingFeatures | StatisticsFeature;
    public override IRegisterBlock Registers => field ??= Map.Bind(this);

    /// <summary>The guest has told how it does. On the device's worker, in a stay in guest memory; must not wait.</summary>
    public event Action? StatisticsReceived;

    /// <summary>Bytes that the guest says are in the balloon.</summary>
    public long Actual => (long)_actual * PageSize;

    /// <summary>Pages that went back to the host.</summary>
    public long DiscardedPages => Interlocked.Read(ref _discardedPages);

    /// <summary>Asks the guest for a balloon of so many bytes, in whole pages. From any thread.</summary>
    public void SetTarget(long bytes)
    {
        uint pages = checked((uint)(bytes / PageSize));
        ChangeConfiguration(() => _target = pages);
        Host?.ConfigurationChanged();
    }

    /// <summary>Asks the guest how it does; <see cref="StatisticsReceived"/> follows if a driver runs. From any thread.</summary>
    public void RequestStatistics() => _statisticsHandler?.Ask();

    /// <summary>A statistic as the guest told it last, by its tag of 5.5.6.4, 0 to 9; null if it told none. From any thread.</summary>
    public ulong? GetStatistic(int tag) => Volatile.Read(ref _statistics[tag]) is not 0 and var above ? above - 1 : null;

    protected override QueueHandler CreateHandler(int index, Virtqueue queue) =>
        index == StatisticsQueue ? _statisticsHandler = new StatisticsHandler(this, queue) : new PageHandler(this, queue);

    protected override void OnReset()
    {
        (_actual, _statisticsHandler) = (0, null);
        Array.Clear(_statistics);
    }

    public override SavedState Save() => SavedState.Of("sample.balloon", 1, new BalloonState(_target, _actual), BalloonJson.Default.BalloonState);

    public override Action PrepareRestore(SavedState state)
    {
        BalloonState read = state.Read("sample.balloon", 1, BalloonJson.Default.BalloonState);
        return () => (_target, _actual) = (read.Target, read.Actual);
    }

    private void Discard(uint page) => Interlocked.Add(ref _discardedPages, memory.TryDiscard((ulong)page * PageSize, PageSize) ? 1 : 0);

    /// <summary>Takes pages from the guest. To give them back needs nothing: the host has a page for it when it touches one.</summary>
    private sealed class PageHandler(BalloonDevice device, Virtqueue queue) : RequestHandler(queue)
    {
        private long _done;

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            Span<byte> numbers = stackalloc byte[1024];
            written = 0;
            _done = IsContinued ? Math.Min(_done, chain.ReadableLength) : 0;
            int length = chain.Readable.Slice(_done).CopyTo(numbers);
            for (int i = 0; Queue.Index == InflateQueue && i + 4 <= length; i += 4)
            {
                device.Discard(BinaryPrimitives.ReadUInt32LittleEndian(numbers[i..]));
            }

            // A part at a time: a stop waits for a part and not for a million pages.
            _done += length;
            return _done < chain.ReadableLength ? RequestOutcome.Continue : RequestOutcome.Done;
        }
    }

    /// <summary>Has one buffer of the guest's, which goes back when it is to be filled anew (5.5.6.3).</summary>
    private sealed class StatisticsHandler(BalloonDevice device, Virtqueue queue) : RequestHandler(queue)
    {
        private int _asked;
        private bool _taken;

        public void Ask()
        {
            Volatile.Write(ref _asked, 1);
            Wake();
        }

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            if (!_taken)
            {
                Take(chain.Readable);
            }

            // What waits for later is in the ring as if nobody had seen it: a stop has nothing to wait for.
            _taken = Interlocked.Exchange(ref _asked, 0) == 0;
            written = 0;
            return _taken ? RequestOutcome.Later : RequestOutcome.Done;
        }

        private void Take(GuestBuffers buffer)
        {
            const int Length = 10;
            Span<byte> entries = stackalloc byte[32 * Length];
            for (entries = entries[..buffer.CopyTo(entries)]; entries.Length >= Length; entries = entries[Length..])
            {
                int tag = BinaryPrimitives.ReadUInt16LittleEndian(entries);
                if (tag < device._statistics.Length)
                {
                    Volatile.Write(ref device._statistics[tag], BinaryPrimitives.ReadUInt64LittleEndian(entries[2..]) + 1);
                }
            }

            device.StatisticsReceived?.Invoke();
        }
    }
}
