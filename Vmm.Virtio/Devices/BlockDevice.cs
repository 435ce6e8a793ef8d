using System;
using System.Collections.Generic;
using System.Numerics;
using System.Text;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Registers;
using Vmm.DeviceModel.State;
using Vmm.Virtio.Limits;
using Vmm.Virtio.Queues;
using Vmm.Virtio.State;

namespace Vmm.Virtio.Devices;

/// <summary>The block device (virtio 1.2, 5.2): reads, writes, flushes, discards, zeroes and tells its serial, over any back-end.</summary>
/// <remarks>
/// One worker a queue. Requests are in flight at the back-end up to the size of each queue, and complete as they end. A flush is given to the back-end
/// when it is found, and covers what was completed before. The transport's rules for calls are those of <see cref="VirtioDevice"/>.
/// </remarks>
public sealed class BlockDevice : WorkerDevice, IDeviceCounters
{
    internal const int SectorSize = 512;
    internal const int MaximumRangeSegments = 32;
    internal const uint MaximumRangeSectors = 1 << 22;

    private const int PhysicalBlockSize = 4096;
    private const int IdentifierSize = 20;

    /// <summary>
    /// struct virtio_blk_config (5.2.4); what is not offered reads zero. A request takes a descriptor each for its header and its status.
    /// </summary>
    internal static readonly RegisterMap<BlockDevice> Map = new("block", length: 0x3c, RegisterPolicy.Lanes)
    {
        { 0x00, 8, RegisterAccess.ReadOnly, "capacity", static d => (ulong)d.Capacity / SectorSize },
        { 0x0c, 4, RegisterAccess.ReadOnly, "seg_max", static d => (ulong)Math.Max(1, d._options.QueueSize - 2) },
        { 0x14, 4, RegisterAccess.ReadOnly, "blk_size", static d => (ulong)d.Backend.BlockSize },
        { 0x18, 1, RegisterAccess.ReadOnly, "physical_block_exp", static d => (ulong)BitOperations.Log2(d.BlocksPerPhysical) },
        { 0x1a, 2, RegisterAccess.ReadOnly, "min_io_size", static d => d.BlocksPerPhysical },
        { 0x20, 1, RegisterAccess.ReadWrite, "writeback", static d => Volatile.Read(ref d._writeback), static (d, v) => d.SwitchWriteCache((byte)v) },
        { 0x22, 2, RegisterAccess.ReadOnly, "num_queues", static d => (ulong)d._options.QueueCount },
        { 0x24, 4, RegisterAccess.ReadOnly, "max_discard_sectors", static _ => MaximumRangeSectors },
        { 0x28, 4, RegisterAccess.ReadOnly, "max_discard_seg", static _ => MaximumRangeSegments },
        { 0x2c, 4, RegisterAccess.ReadOnly, "discard_sector_alignment", static _ => PhysicalBlockSize / SectorSize },
        { 0x30, 4, RegisterAccess.ReadOnly, "max_write_zeroes_sectors", static _ => MaximumRangeSectors },
        { 0x34, 4, RegisterAccess.ReadOnly, "max_write_zeroes_seg", static _ => MaximumRangeSegments },
        { 0x38, 1, RegisterAccess.ReadOnly, "write_zeroes_may_unmap", static _ => 1 },
    };

    // How long a disposal waits for the last flush. A disk that takes longer is closed when that ends.
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(5);

    private readonly BlockDeviceOptions _options;
    private readonly byte[] _identifier = new byte[IdentifierSize];
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TransferCounters _transfers;
    private readonly Lock _resizing = new();
    private long _capacity;
    private int _cutAgain;
    private bool _wasCut;
    private bool _isClosed;
    private byte _writeback = 1;
    private bool _closing;
    private long _failures;
    private long _lastReport = long.MinValue;

    /// <summary>Makes a disk.</summary>
    /// <param name="backend">Where its sectors are; owned by the device from now on.</param>
    /// <param name="options">Serial, queues and names.</param>
    /// <exception cref="ArgumentException">An option is out of range.</exception>
    public BlockDevice(IBlockBackend backend, BlockDeviceOptions? options = null)
        : base(options ??= new BlockDeviceOptions(), QueuesFor(options))
    {
        ArgumentNullException.ThrowIfNull(backend);
        if (backend.BlockSize is < SectorSize or > PhysicalBlockSize || !BitOperations.IsPow2(backend.BlockSize))
        {
            throw new ArgumentException($"a block has a power of two of 512 to 4096 bytes, not {backend.BlockSize}", nameof(backend));
        }

        _options = options;
        if (!Ascii.IsValid(_options.Serial))
        {
            throw new ArgumentException("the serial of a block device is ASCII", nameof(options));
        }

        _options.RateLimiter?.Validate();
        Limiter = RateLimiter.Create(_options.RateLimiter, _options.Time, WakeAll);
        Backend = backend;
        _capacity = backend.Length;
        _transfers = new TransferCounters(_options.QueueCount);
        Encoding.ASCII.GetBytes(_options.Serial.AsSpan(0, Math.Min(IdentifierSize, _options.Serial.Length)), _identifier);
        Registers = Map.Bind(this);
    }

    /// <inheritdoc/>
    public override VirtioDeviceType DeviceType => VirtioDeviceType.Block;

    /// <inheritdoc/>
    public override ulong OfferedFeatures
    {
        get
        {
            ulong features = OfferedRingFeatures | BlockFeatures.SegmentMaximum | BlockFeatures.BlockSize | BlockFeatures.Topology
                | BlockFeatures.Flush | BlockFeatures.ConfigureWriteCache;
            features |= Backend.IsReadOnly ? BlockFeatures.ReadOnly : BlockFeatures.Discard | BlockFeatures.WriteZeroes;
            return _options.QueueCount > 1 ? features | BlockFeatures.MultiQueue : features;
        }
    }

    /// <inheritdoc/>
    public override IRegisterBlock Registers { get; }

    /// <summary>Where the sectors are.</summary>
    public IBlockBackend Backend { get; }

    /// <summary>Bytes of the disk as the driver sees it.</summary>
    public long Capacity => Volatile.Read(ref _capacity);

    /// <summary>
    /// Completes when the back-end is closed, after the device was disposed: later than that where a request, or the last flush, takes its time.
    /// </summary>
    public Task Closed => _closed.Task;

    /// <summary>Requests that the back-end failed.</summary>
    public long Failures => Interlocked.Read(ref _failures);

    /// <summary>
    /// <c>read_bytes</c>, <c>write_bytes</c>, <c>read_ops</c> and <c>write_ops</c>: reads and writes that were completed as successful.
    /// </summary>
    public IReadOnlyList<DeviceCounter> Counters
    {
        get
        {
            (long readBytes, long reads, long writtenBytes, long writes) = _transfers.Sum();
            return
            [
                new DeviceCounter("read_bytes", readBytes),
                new DeviceCounter("write_bytes", writtenBytes),
                new DeviceCounter("read_ops", reads),
                new DeviceCounter("write_ops", writes),
            ];
        }
    }

    // In logical blocks, as the topology is told (5.2.4).
    private uint BlocksPerPhysical => (uint)(PhysicalBlockSize / Backend.BlockSize);

    /// <summary>The limit of its requests, or null for none.</summary>
    internal RateLimiter? Limiter { get; }

    internal ReadOnlySpan<byte> Identifier => _identifier;

    /// <summary>Whether completed writes may be volatile until a flush (5.2.5.2).</summary>
    internal bool IsWriteBack => (Features & BlockFeatures.ConfigureWriteCache) != 0
        ? Volatile.Read(ref _writeback) != 0
        : (Features & BlockFeatures.Flush) != 0;

    /// <inheritdoc/>
    public override void Inspect(InspectionNode node)
    {
        base.Inspect(node);
        node.Add("read-only", Backend.IsReadOnly);
        node.Add("write-back", IsWriteBack);
        node.Add("failed requests", Failures);
    }

    /// <inheritdoc/>
    public override SavedState Save()
    {
        var state = new BlockState
        {
            Sectors = (ulong)(Capacity / SectorSize),
            WriteBack = Volatile.Read(ref _writeback) != 0,
        };
        return SavedState.Of(BlockState.Kind, BlockState.Version, state, VirtioStateJson.Default.BlockState);
    }

    /// <inheritdoc/>
    public override Action PrepareRestore(SavedState state)
    {
        ArgumentNullException.ThrowIfNull(state);
        BlockState block = state.Read(BlockState.Kind, BlockState.Version, VirtioStateJson.Default.BlockState);
        SavedState.Require(block.Sectors == (ulong)(Capacity / SectorSize), "sectors", $"{Capacity / SectorSize}", block.Sectors);
        return () => Volatile.Write(ref _writeback, block.WriteBack ? (byte)1 : (byte)0);
    }

    /// <summary>
    /// Gives the disk another size while it runs: changes the back-end, then the capacity, and tells the driver (virtio 1.2, 2.5 and 4.1.5.4). What
    /// is in flight beyond a new end fails as an I/O error. From any thread but the device's own; returns when the host has done it.
    /// </summary>
    /// <param name="length">Bytes, a multiple of 512 and of the back-end's <see cref="IBlockBackend.BlockSize"/>, and at least that.</param>
    /// <exception cref="ArgumentOutOfRangeException">A disk cannot have so many bytes.</exception>
    /// <exception cref="BackendException">The disk is read-only, or the back-end cannot; nothing has changed.</exception>
    /// <exception cref="ObjectDisposedException">The disk is closed.</exception>
    public void Resize(long length)
    {
        if (length <= 0 || length % Backend.BlockSize != 0)
        {
            throw new ArgumentOutOfRangeException(nameof(length), $"a disk has a multiple of {Backend.BlockSize} bytes here, and not {length}");
        }

        lock (_resizing)
        {
            ObjectDisposedException.ThrowIf(_isClosed, this);
            if (Backend.IsReadOnly)
            {
                throw new BackendException("resize", _options.NameOf(DeviceType), 0, "is read-only, and is not resized");
            }

            long before = Capacity;
            Backend.Resize(length);
            if (length == before)
            {
                return;
            }

            ChangeConfiguration(() => Volatile.Write(ref _capacity, length));
            Host?.ConfigurationChanged();
            if (length < before)
            {
                // Requests that saw the former end, and ended before the new one was to be seen.
                _wasCut = true;
                Cut();
            }
        }
    }

    /// <inheritdoc/>
    public override void OnFeaturesNegotiated(ulong features)
    {
        // A driver that cannot flush begins with a cache that writes through (5.2.5.2).
        Volatile.Write(ref _writeback, (features & BlockFeatures.Flush) != 0 ? (byte)1 : (byte)0);
        base.OnFeaturesNegotiated(features);
    }

    /// <inheritdoc/>
    protected override int WorkerCount => _options.QueueCount;

    /// <inheritdoc/>
    protected override int WorkerOf(int index) => index;

    /// <inheritdoc/>
    protected override QueueHandler CreateHandler(int index, Virtqueue queue) => new BlockRequestHandler(this, queue);

    /// <inheritdoc/>
    protected override void OnReset() => Volatile.Write(ref _writeback, 1);

    /// <summary>Counts a read or a write that was completed as successful. On the worker of its queue.</summary>
    internal void CountMoved(int queue, BlockOperation operation, long length)
    {
        if (operation == BlockOperation.Read)
        {
            _transfers.AddIn(queue, length, 1);
        }
        else
        {
            _transfers.AddOut(queue, length, 1);
        }
    }

    /// <summary>
    /// Has the back-end cut at the end of the disk once more, on a thread of the pool: a request that was in flight when it was cut has ended, and
    /// may have made it longer. Returns at once.
    /// </summary>
    internal void CutAgain()
    {
        if (Interlocked.Exchange(ref _cutAgain, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(
                static disk =>
                {
                    lock (disk._resizing)
                    {
                        // Before the cut: what ends from now on asks for another.
                        Volatile.Write(ref disk._cutAgain, 0);
                        disk.Cut();
                    }
                },
                this,
                preferLocal: false);
        }
    }

    /// <summary>Counts a request that the back-end failed; says so at most once a second.</summary>
    internal void ReportFailure(BlockOperation operation)
    {
        long count = Interlocked.Increment(ref _failures);
        long now = Environment.TickCount64;
        long last = Volatile.Read(ref _lastReport);
        if (now - 1000 >= last && Interlocked.CompareExchange(ref _lastReport, now, last) == last)
        {
            Log.RequestFailed(_options.Logger, _options.NameOf(DeviceType), operation.ToString(), count);
        }
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing)
        {
            Limiter?.Dispose();

            // Not under a request that has not ended: then with its end, on a thread of its own, since a back-end may have one alone for all it ends.
            WhenNoneDetached(StartClosing);
            if (Volatile.Read(ref _closing) && !_closed.Task.Wait(CloseLimit))
            {
                Log.ClosesLate(_options.Logger, _options.NameOf(DeviceType));
            }
        }
    }

    private static int QueuesFor(BlockDeviceOptions options)
    {
        return options.QueueCount is >= 1 and <= 256
            ? options.QueueCount
            : throw new ArgumentException($"a block device has 1 to 256 queues, not {options.QueueCount}", nameof(options));
    }

    private void StartClosing()
    {
        Volatile.Write(ref _closing, true);
        new Thread(CloseBackend) { Name = _options.NameOf(DeviceType) + "-close", IsBackground = true }.Start();
    }

    /// <summary>Makes what was written durable, for as long as that takes, and closes the back-end. On a thread that nobody has to wait for.</summary>
    private void CloseBackend()
    {
        try
        {
            lock (_resizing)
            {
                if (_wasCut)
                {
                    Cut();
                }

                _isClosed = true;
            }

            if (!Backend.IsReadOnly)
            {
                using var ended = new ManualResetEventSlim();
                var flush = new BlockRequest(ended.Set);
                Backend.Submit(flush);
                ended.Wait();
                if (flush.Status != BlockStatus.Ok)
                {
                    ReportFailure(BlockOperation.Flush);
                }
            }

            Backend.Dispose();
        }
        catch (Exception failure)
        {
            Log.CloseFailed(_options.Logger, failure, _options.NameOf(DeviceType));
        }

        _closed.TrySetResult();
    }

    /// <summary>Cuts the back-end at the end of the disk. Under the lock.</summary>
    private void Cut()
    {
        if (_isClosed)
        {
            return;
        }

        try
        {
            Backend.Resize(_capacity);
        }
        catch (Exception failure)
        {
            // Beyond the end nobody reads; what there is of it is cut when the disk is closed, if that works.
            Log.NotCut(_options.Logger, failure, _options.NameOf(DeviceType));
        }
    }

    /// <summary>The driver writes the one field that it may.</summary>
    private void SwitchWriteCache(byte value)
    {
        if (value <= 1 && (Features & BlockFeatures.ConfigureWriteCache) != 0)
        {
            Volatile.Write(ref _writeback, value);
        }
    }
}
