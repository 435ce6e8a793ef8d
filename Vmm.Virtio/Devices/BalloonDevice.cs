using System;
using System.Buffers.Binary;
using System.Threading;
using Vmm.DeviceModel.Memory;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Queues;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Devices;

/// <summary>The memory balloon (virtio 1.2, 5.5): pages that the driver gives, or reports as unused, go back to the host.</summary>
/// <remarks>
/// A page is there again when the driver touches it, so that deflating asks nothing of the host. While a device of the host or another process has
/// guest memory mapped, pages stay with the guest's process (<see cref="GuestMemory.TryDiscard(ulong, ulong)"/>); the balloon does its work all the
/// same.
/// </remarks>
public sealed class BalloonDevice : WorkerDevice
{
    /// <summary>Bytes of the pages that the balloon counts in, whatever those of guest and host are.</summary>
    public const int PageSize = 4096;

    private const ulong DeflateOnOutOfMemory = 1 << 2;
    private const ulong PageReporting = 1 << 5;
    private const int InflateQueue = 0;
    private const int DeflateQueue = 1;

    internal static readonly RegisterMap<BalloonDevice> Map = new("balloon", length: 8, RegisterPolicy.Lanes)
    {
        { 0, 4, RegisterAccess.ReadOnly, "num_pages", static d => d._target },
        { 4, 4, RegisterAccess.ReadWrite, "actual", static d => d._actual, static (d, v, mask) => d._actual = (uint)((d._actual & ~mask) | v) },
    };

    private readonly GuestMemory _memory;
    private volatile uint _target;
    private volatile uint _actual;
    private long _discarded;

    /// <summary>Makes a balloon that nothing is in.</summary>
    /// <param name="options">Size, features and names.</param>
    /// <param name="memory">The RAM that pages are taken from. The driver names them by guest-physical address, behind an IOMMU too.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public BalloonDevice(BalloonDeviceOptions options, GuestMemory memory)
        : base(options, QueueCountOf(options))
    {
        ArgumentNullException.ThrowIfNull(memory);
        _memory = memory;
        _target = PagesOf(options.Size);
        Registers = Map.Bind(this);
        OfferedFeatures = OfferedRingFeatures
            | (options.DeflateOnOutOfMemory ? DeflateOnOutOfMemory : 0) | (options.FreePageReporting ? PageReporting : 0);
    }

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Balloon;

    /// <inheritdoc/>
    public override ulong OfferedFeatures { get; }

    /// <inheritdoc/>
    public override IRegisterBlock Registers { get; }

    /// <summary>Bytes that the driver is asked for, in whole pages. Set from any thread: the driver is told.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to no whole pages, or to 2^32 of them or more.</exception>
    public ulong Size
    {
        get => (ulong)_target * PageSize;
        set
        {
            uint pages = PagesOf(value);
            ChangeConfiguration(() => _target = pages);
            Host?.ConfigurationChanged();
        }
    }

    /// <summary>Bytes that the driver says are in the balloon.</summary>
    public ulong Actual => (ulong)_actual * PageSize;

    /// <summary>Bytes that went back to the host so far, those of pages that came again included.</summary>
    public long DiscardedBytes => Interlocked.Read(ref _discarded);

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("discarded bytes", DiscardedBytes);
    }

    /// <inheritdoc/>
    public override SavedState Save()
    {
        return SavedState.Of(BalloonState.Kind, BalloonState.Version, new BalloonState(_target, _actual), BalloonStateJson.Default.BalloonState);
    }

    /// <inheritdoc/>
    public override Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        BalloonState balloon = state.Read(BalloonState.Kind, BalloonState.Version, BalloonStateJson.Default.BalloonState);
        return () => (_target, _actual) = (balloon.Target, balloon.Actual);
    }

    /// <inheritdoc/>
    protected override QueueHandler CreateHandler(int index, Virtqueue queue) => index switch
    {
        InflateQueue => new NumberHandler(this, queue),
        DeflateQueue => new DeflateHandler(queue),

        // Without statistics and hints the queue of reports follows, as Linux numbers them.
        _ => new ReportHandler(this, queue),
    };

    /// <inheritdoc/>
    protected override void OnReset() => _actual = 0;

    private static int QueueCountOf(BalloonDeviceOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options.FreePageReporting ? 3 : 2;
    }

    private static uint PagesOf(ulong bytes)
    {
        return bytes % PageSize == 0 && bytes / PageSize <= uint.MaxValue
            ? (uint)(bytes / PageSize)
            : throw new ArgumentOutOfRangeException(nameof(bytes), $"a balloon has whole pages of {PageSize} bytes, fewer than 2^32; not {bytes}");
    }

    private void Count(bool discarded, ulong bytes)
    {
        if (discarded)
        {
            Interlocked.Add(ref _discarded, (long)bytes);
        }
    }

    private sealed class DeflateHandler(Virtqueue queue) : RequestHandler(queue)
    {
        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            return RequestOutcome.Done;
        }
    }

    /// <summary>Requests are arrays of page numbers of 32 bits (5.5.6.1).</summary>
    private sealed class NumberHandler(BalloonDevice device, Virtqueue queue) : RequestHandler(queue)
    {
        private const int NumbersAtOnce = PartLength / PageSize;

        private long _done;

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            Span<byte> numbers = stackalloc byte[NumbersAtOnce * sizeof(uint)];
            _done = IsContinued ? Math.Min(_done, chain.ReadableLength) : 0;
            int length = chain.Readable.Slice(_done).CopyTo(numbers);
            Discard(numbers[..length]);
            _done += length;
            return _done < chain.ReadableLength ? RequestOutcome.Continue : RequestOutcome.Done;
        }

        /// <summary>Discards runs of pages at once: drivers give neighbours, upwards or downwards.</summary>
        private void Discard(Span<byte> numbers)
        {
            (ulong first, ulong count) = (0, 0);
            for (; numbers.Length >= sizeof(uint); numbers = numbers[sizeof(uint)..])
            {
                ulong page = BinaryPrimitives.ReadUInt32LittleEndian(numbers);
                if (count != 0 && page == first + count)
                {
                    count++;
                }
                else if (count != 0 && page + 1 == first)
                {
                    (first, count) = (page, count + 1);
                }
                else
                {
                    Discard(first, count);
                    (first, count) = (page, 1);
                }
            }

            Discard(first, count);
        }

        private void Discard(ulong first, ulong count)
        {
            device.Count(count != 0 && device._memory.TryDiscard(first * PageSize, count * PageSize), count * PageSize);
        }
    }

    /// <summary>Requests are the unused pages themselves, as buffers (5.5.6.7).</summary>
    private sealed class ReportHandler(BalloonDevice device, Virtqueue queue) : RequestHandler(queue)
    {
        // The host takes its time for memory that was used: a stop waits for so much of it.
        private const long BytesAtOnce = 16 << 20;

        private readonly MemoryPiece[] _pieces = new MemoryPiece[32];
        private long _done;

        protected override RequestOutcome Handle(DescriptorChain chain, out uint written)
        {
            written = 0;
            _done = IsContinued ? Math.Min(_done, chain.WritableLength) : 0;
            GuestBuffers part = chain.Writable.Slice(_done, Math.Min(BytesAtOnce, chain.WritableLength - _done));
            int count = part.GetPieces(_pieces, out long length);
            foreach (MemoryPiece piece in _pieces.AsSpan(0, count))
            {
                device.Count(device._memory.TryDiscardResolved(piece.Address, piece.Length), piece.Length);
            }

            _done += length;
            return _done < chain.WritableLength ? RequestOutcome.Continue : RequestOutcome.Done;
        }
    }
}
