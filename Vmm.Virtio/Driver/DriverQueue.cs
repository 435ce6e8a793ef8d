using System;
using System.Threading;
using Vmm.Pci.Access;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Driver;

/// <summary>The driver's side of a virtqueue (virtio 1.2, 2.6 to 2.8). Little-endian hosts only, as the device model.</summary>
/// <remarks>
/// <para>
/// One thread at a time a queue; different queues of a device on different threads. Whatever the device writes is validated, and what the
/// driver must remember it keeps in memory of its own. Submitting and completing allocates nothing.
/// </para>
/// <para>
/// No interrupt is asked for unless somebody waits: <see cref="WaitComplete"/> arms it, looks once more, sleeps, and disarms it. Without an
/// interrupt, or if that is the caller's to wait for, it looks at the ring again and again.
/// </para>
/// </remarks>
public abstract partial class DriverQueue
{
    /// <summary>Flag of a descriptor: the chain goes on.</summary>
    private protected const ushort DescriptorNext = 1;

    /// <summary>Flag of a descriptor: the device writes the buffer.</summary>
    private protected const ushort DescriptorWrite = 2;

    /// <summary>Flag of a descriptor: it refers to a table.</summary>
    private protected const ushort DescriptorIndirect = 4;

    private protected const int DescriptorSize = 16;
    private const int PollsBetweenLooks = 16;

    private readonly VirtioPciDriver _driver;
    private readonly IDmaBuffer? _tables;
    private readonly int _tableEntries;
    private readonly uint[] _writable;
    private readonly ushort[] _slots;
    private readonly ushort[] _order;
    private readonly bool _inOrder;
    private readonly CompletionSignal _signal = new();
    private int _batchEnd = -1;
    private uint _batchLength;
    private volatile bool _closed;

    private protected DriverQueue(VirtioPciDriver driver, DriverQueueOptions options, int size, IDmaBuffer ring, IDmaBuffer? tables)
    {
        (_driver, Index, Size, Ring, _tables) = (driver, options.Index, size, ring, tables);
        _tableEntries = tables is null ? 0 : TableEntries(options, size);
        _inOrder = (driver.Features & RingFeatures.InOrder) != 0;
        EventIndex = (driver.Features & RingFeatures.EventIndex) != 0;
        FreeDescriptors = size;
        _writable = new uint[size];
        _slots = new ushort[size];
        _order = new ushort[size];
    }

    /// <summary>Which queue of the device it is.</summary>
    public int Index { get; }

    /// <summary>Descriptors.</summary>
    public int Size { get; }

    /// <summary>The MSI-X vector, or null where there is none.</summary>
    public int? Vector { get; internal set; }

    /// <summary>Descriptors that no request uses.</summary>
    public int FreeDescriptors { get; private set; }

    /// <summary>Where the descriptor area lies.</summary>
    internal ulong DescriptorArea => Ring.Iova;

    /// <summary>Where the driver area lies.</summary>
    internal abstract ulong DriverArea { get; }

    /// <summary>Where the device area lies.</summary>
    internal abstract ulong DeviceArea { get; }

    /// <summary>What NOTIFICATION_DATA adds to the queue's index: the place in the ring that is made available next (4.1.5.2).</summary>
    internal abstract ushort NotificationPlace { get; }

    internal ulong NotifyOffset { get; set; }

    internal ushort NotifyIdentifier { get; set; }

    private protected IDmaBuffer Ring { get; }

    private protected bool EventIndex { get; }

    private protected bool InOrder => _inOrder;

    /// <summary>
    /// Makes a request available, without telling the device: by an indirect table where that is negotiated and the request has several pieces.
    /// </summary>
    /// <param name="segments">What the device reads, then what it writes.</param>
    /// <returns>A token that names the request until it completes, below <see cref="Size"/>; null if the queue is too full for it now.</returns>
    /// <exception cref="ArgumentException">
    /// There are no segments, more than the queue has descriptors, an empty one, or a readable one after a writable one.
    /// </exception>
    public int? TrySubmit(ReadOnlySpan<DriverSegment> segments)
    {
        return TrySubmit(segments, indirect: segments.Length > 1 && segments.Length <= _tableEntries);
    }

    /// <summary>Makes a request available, without telling the device, in the form that the caller wants.</summary>
    /// <param name="segments">What the device reads, then what it writes.</param>
    /// <param name="indirect">By a table of its own, which takes one descriptor of the ring.</param>
    /// <returns>A token that names the request until it completes, below <see cref="Size"/>; null if the queue is too full for it now.</returns>
    /// <exception cref="ArgumentException">
    /// There are no segments, more than the queue has descriptors or the table entries, an empty one, or a readable one after a writable one.
    /// </exception>
    public int? TrySubmit(ReadOnlySpan<DriverSegment> segments, bool indirect)
    {
        ThrowIfClosed();

        // A chain is no longer than the queue, also through a table (2.7.5.3.1, 2.8.17).
        int longest = indirect ? _tableEntries : Size;
        if (segments.IsEmpty || segments.Length > longest)
        {
            throw new ArgumentException($"a request of this form has 1 to {longest} segments, not {segments.Length}", nameof(segments));
        }

        uint writable = DriverSegment.CheckRequest(segments);
        int slots = indirect ? 1 : segments.Length;
        if (slots > FreeDescriptors)
        {
            return null;
        }

        int token = TakeToken();
        _writable[token] = writable;
        _slots[token] = (ushort)slots;
        _order[OrderOfNextAvailable] = (ushort)token;
        FreeDescriptors -= slots;
        if (indirect)
        {
            Publish(token, [new DriverSegment(FillTable(token, segments), (uint)(segments.Length * DescriptorSize), false)], DescriptorIndirect);
        }
        else
        {
            Publish(token, segments, 0);
        }

        return token;
    }

    /// <summary>Tells the device of what was made available, unless it asked not to be told.</summary>
    /// <returns>True if it was told.</returns>
    /// <exception cref="InvalidOperationException">The driver has not started the device, or it or the queue is closed.</exception>
    public bool Notify()
    {
        ThrowIfClosed();

        // Full fence: what was made available is out before we look at what the device asked for. Pairs with the device's fence between
        // asking for a notification and looking at the ring once more (2.7.13.4.1, 2.8.21.3.1). The store that notifies is after it, also one to
        // mapped registers, for which a device reads what was made available (VIRTIO_F_ORDER_PLATFORM).
        Interlocked.MemoryBarrier();
        if (!DeviceWantsNotification())
        {
            return false;
        }

        _driver.Notify(this);
        return true;
    }

    /// <summary>Tells the device to look, whether it asked for that or not.</summary>
    /// <exception cref="InvalidOperationException">The driver has not started the device, or it or the queue is closed.</exception>
    public void Kick()
    {
        ThrowIfClosed();
        Interlocked.MemoryBarrier();
        _ = DeviceWantsNotification();
        _driver.Notify(this);
    }

    /// <summary>Takes a completed request.</summary>
    /// <param name="token">The token that <see cref="TrySubmit(ReadOnlySpan{DriverSegment})"/> returned.</param>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>False if none has completed.</returns>
    /// <exception cref="DriverException">The device returned what it was not given, or says that it wrote more than it could.</exception>
    public bool TryComplete(out int token, out uint length)
    {
        ThrowIfClosed();
        (token, length) = (0, 0);
        if (_batchEnd >= 0)
        {
            if (!IsCovered())
            {
                throw new DriverException("completion", $"queue {Index}: a batch in order ends beyond what was used");
            }

            token = _order[OrderOfNextUsed];
            length = token == _batchEnd ? _batchLength : _writable[token];
        }
        else
        {
            if (!TryReadUsed(out uint id, out uint written))
            {
                return false;
            }

            CheckUsed(id, written);
            token = (int)id;
            length = written;
            if (_inOrder && _order[OrderOfNextUsed] != id)
            {
                // Only the last of a batch is written; those before it were used whole (2.7.9, 2.8.8).
                (_batchEnd, _batchLength) = ((int)id, written);
                token = _order[OrderOfNextUsed];
                length = _writable[token];
            }
        }

        if (token == _batchEnd)
        {
            _batchEnd = -1;
        }

        int slots = _slots[token];
        _slots[token] = 0;
        FreeDescriptors += slots;
        Release(token, slots);
        return true;
    }

    /// <summary>Whether a completed request is there to be taken.</summary>
    /// <returns>False if none has completed.</returns>
    public bool HasCompletion()
    {
        ThrowIfClosed();
        return _batchEnd >= 0 || HasUsed();
    }

    /// <summary>Bytes of indirect tables for a queue.</summary>
    internal static long TablesLength(DriverQueueOptions options, int size) => (long)TableEntries(options, size) * DescriptorSize * size;

    /// <summary>The memory goes, or may go: nothing is submitted or completed any more.</summary>
    internal void Close() => _closed = true;

    /// <summary>Gives the memory of a closed queue back, which the device writes no more.</summary>
    internal void Unmap(Action<IDmaBuffer> unmap)
    {
        unmap(Ring);
        if (_tables is not null)
        {
            unmap(_tables);
        }
    }

    /// <summary>Where in the order of requests the next one to be made available is remembered.</summary>
    private protected abstract int OrderOfNextAvailable { get; }

    /// <summary>Where in the order of requests the one that was made available first of those outstanding is remembered.</summary>
    private protected abstract int OrderOfNextUsed { get; }

    /// <summary>Takes the name of a new request.</summary>
    private protected abstract int TakeToken();

    /// <summary>Writes descriptors and makes them available.</summary>
    private protected abstract void Publish(int token, ReadOnlySpan<DriverSegment> segments, ushort flags);

    /// <summary>Looks at the next used element; what is read is not checked.</summary>
    private protected abstract bool TryReadUsed(out uint id, out uint written);

    /// <summary>Whether the device has used a request that was not taken.</summary>
    private protected abstract bool HasUsed();

    /// <summary>Whether the request that is next in order has been used as a part of a batch.</summary>
    private protected abstract bool IsCovered();

    /// <summary>Takes the descriptors of a completed request back and goes on to the next used element.</summary>
    private protected abstract void Release(int token, int slots);

    /// <summary>Whether the device asked to be told of what was made available since this was asked last.</summary>
    private protected abstract bool DeviceWantsNotification();

    /// <summary>Writes an entry of an indirect table.</summary>
    private protected abstract void WriteTableEntry(Span<byte> place, in DriverSegment segment, int index, bool last);

    private static int TableEntries(DriverQueueOptions options, int size) => Math.Clamp(options.IndirectSegments, 0, size);

    private void CheckUsed(uint id, uint written)
    {
        if (id >= (uint)Size || _slots[id] == 0)
        {
            throw new DriverException("completion", $"queue {Index} returned request {id}, which is not outstanding");
        }

        if (written > _writable[id])
        {
            throw new DriverException("completion", $"queue {Index} says that it wrote {written} bytes into {_writable[id]}");
        }
    }

    private ulong FillTable(int token, ReadOnlySpan<DriverSegment> segments)
    {
        int at = token * _tableEntries * DescriptorSize;
        Span<byte> table = _tables!.Span.Slice(at, segments.Length * DescriptorSize);
        for (int i = 0; i < segments.Length; i++)
        {
            WriteTableEntry(table.Slice(i * DescriptorSize, DescriptorSize), segments[i], i, i == segments.Length - 1);
        }

        return _tables.Iova + (ulong)at;
    }

    private void ThrowIfClosed() => ObjectDisposedException.ThrowIf(_closed, this);
}
