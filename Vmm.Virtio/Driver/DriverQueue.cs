using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Threading;

namespace Vmm.Virtio.Driver;

/// <summary>The driver's side of a split virtqueue (virtio 1.2, 2.7). Little-endian hosts only, as the device model.</summary>
/// <remarks>One thread at a time. What the device writes is validated; the free list lies in memory of the driver's own.</remarks>
public sealed class DriverQueue
{
    private readonly VirtioPciDriver _driver;
    private readonly IDmaBuffer _ring;
    private readonly Stack<ushort> _free = new();
    private readonly ushort[]?[] _outstanding;
    private readonly object _signal = new();
    private bool _signalled;
    private readonly int _available;
    private readonly int _used;
    private ushort _nextAvailable;
    private ushort _nextUsed;

    internal DriverQueue(VirtioPciDriver driver, int index, int size, IDmaBuffer ring)
    {
        (_driver, Index, Size, _ring) = (driver, index, size, ring);
        _available = size * 16;
        _used = UsedOffset(size);
        _outstanding = new ushort[]?[size];
        for (int i = size - 1; i >= 0; i--)
        {
            _free.Push((ushort)i);
        }
    }

    /// <summary>Which queue of the device it is.</summary>
    public int Index { get; }

    /// <summary>Descriptors.</summary>
    public int Size { get; }

    /// <summary>The MSI-X vector, or null where there is none.</summary>
    public int? Vector { get; internal set; }

    /// <summary>Descriptors that no request uses.</summary>
    public int FreeDescriptors => _free.Count;

    internal bool HasInterrupt { get; set; }

    internal ulong Descriptors => _ring.Iova;

    internal ulong Available => _ring.Iova + (ulong)_available;

    internal ulong Used => _ring.Iova + (ulong)_used;

    internal ulong NotifyOffset { get; set; }

    internal ushort NextAvailable => _nextAvailable;

    /// <summary>Makes a request available, without telling the device.</summary>
    /// <param name="segments">What the device reads, then what it writes.</param>
    /// <returns>A token that names the request until it completes; null if the queue is too full for it now.</returns>
    public int? TrySubmit(ReadOnlySpan<DriverSegment> segments)
    {
        if (segments.IsEmpty || segments.Length > Size)
        {
            throw new ArgumentException($"a request has 1 to {Size} segments", nameof(segments));
        }

        if (segments.Length > _free.Count)
        {
            return null;
        }

        var chain = new ushort[segments.Length];
        for (int i = 0; i < chain.Length; i++)
        {
            chain[i] = _free.Pop();
        }

        Span<byte> ring = _ring.Span;
        for (int i = 0; i < chain.Length; i++)
        {
            bool last = i == chain.Length - 1;
            Span<byte> descriptor = ring.Slice(chain[i] * 16, 16);
            BinaryPrimitives.WriteUInt64LittleEndian(descriptor, segments[i].Iova);
            BinaryPrimitives.WriteUInt32LittleEndian(descriptor[8..], segments[i].Length);
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[12..], (ushort)((last ? 0 : 1) | (segments[i].DeviceWrites ? 2 : 0)));
            BinaryPrimitives.WriteUInt16LittleEndian(descriptor[14..], last ? (ushort)0 : chain[i + 1]);
        }

        _outstanding[chain[0]] = chain;
        Word(_available + 4 + (2 * (_nextAvailable % Size))) = chain[0];
        _nextAvailable++;
        Volatile.Write(ref Word(_available + 2), _nextAvailable);
        return chain[0];
    }

    /// <summary>Tells the device of what was made available, unless it asked not to be told.</summary>
    /// <exception cref="InvalidOperationException">The driver has not started the device, or is closed.</exception>
    public void Notify()
    {
        // The index must be visible before the flag is looked at (2.7.13.4.1).
        Interlocked.MemoryBarrier();
        _driver.Notify(this, (Volatile.Read(ref Word(_used)) & 1) != 0);
    }

    /// <summary>Takes a completed request.</summary>
    /// <param name="token">What <see cref="TrySubmit"/> returned.</param>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>False if none has completed.</returns>
    /// <exception cref="DriverException">The device returned what it was not given.</exception>
    public bool TryComplete(out int token, out uint length)
    {
        (token, length) = (0, 0);
        if (Volatile.Read(ref Word(_used + 2)) == _nextUsed)
        {
            return false;
        }

        Span<byte> element = _ring.Span.Slice(_used + 4 + (8 * (_nextUsed % Size)), 8);
        uint id = BinaryPrimitives.ReadUInt32LittleEndian(element);
        if (id >= (uint)Size || _outstanding[id] is not { } chain)
        {
            throw new DriverException("completion", $"queue {Index} returned descriptor {id}, which is not outstanding");
        }

        length = BinaryPrimitives.ReadUInt32LittleEndian(element[4..]);
        token = (int)id;
        _outstanding[id] = null;
        foreach (ushort descriptor in chain)
        {
            _free.Push(descriptor);
        }

        _nextUsed++;
        return true;
    }

    /// <summary>Waits for a completed request, by interrupt where there is one.</summary>
    /// <param name="length">Bytes that the device says it wrote.</param>
    /// <returns>The token.</returns>
    /// <exception cref="DriverException">None completes in time, or the device returned what it was not given.</exception>
    public int WaitComplete(out uint length)
    {
        long start = Stopwatch.GetTimestamp();
        var spin = new SpinWait();
        int token;
        while (!TryComplete(out token, out length))
        {
            TimeSpan left = _driver.Timeout - Stopwatch.GetElapsedTime(start);
            if (left <= TimeSpan.Zero)
            {
                throw new DriverException("completion", $"queue {Index} completed nothing in {_driver.Timeout}; status is {_driver.Status}");
            }

            if (HasInterrupt)
            {
                WaitSignal(left);
                _driver.AcknowledgePin();
            }
            else
            {
                spin.SpinOnce();
            }
        }

        return token;
    }

    internal static int UsedOffset(int size) => ((size * 16) + 6 + (size * 2) + 3) & ~3;

    internal static int RingLength(int size) => UsedOffset(size) + 6 + (size * 8);

    internal void Signal()
    {
        lock (_signal)
        {
            _signalled = true;
            Monitor.Pulse(_signal);
        }
    }

    private void WaitSignal(TimeSpan timeout)
    {
        lock (_signal)
        {
            // A spurious return only makes the caller look at the ring once more.
            if (!_signalled)
            {
                Monitor.Wait(_signal, timeout);
            }

            _signalled = false;
        }
    }

    private ref ushort Word(int offset) => ref MemoryMarshal.AsRef<ushort>(_ring.Span.Slice(offset, 2));
}
