using System;
using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Vmm.DeviceModel.Memory;

/// <summary>A checked run of guest bytes that cannot escape to the heap.</summary>
/// <remarks>
/// Offsets are the device's own, so a wrong one is a mistake of the caller and throws. Values are the host's byte order, which is little-endian
/// on every machine this runs on, as the guest's is.
/// </remarks>
public readonly unsafe ref struct GuestWindow
{
    private readonly byte* _host;

    internal GuestWindow(byte* host, int length)
    {
        _host = host;
        Length = length;
    }

    /// <summary>Bytes.</summary>
    public int Length { get; }

    /// <summary>The bytes. The guest may change them at any time: copy once, then look at the copy (MEM-3).</summary>
    public Span<byte> Span => new(_host, Length);

    /// <summary>Host address of the first byte.</summary>
    internal byte* Host => _host;

    /// <summary>Copies a structure out, each byte fetched once; what is checked is then the copy (MEM-3). Need not be aligned.</summary>
    /// <typeparam name="T">A structure of the guest's layout.</typeparam>
    /// <param name="offset">Byte offset in the window.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie in the window.</exception>
    public T ReadOnce<T>(int offset)
        where T : unmanaged
    {
        return Unsafe.ReadUnaligned<T>(At(offset, sizeof(T)));
    }

    /// <summary>Copies a structure in. Need not be aligned.</summary>
    /// <typeparam name="T">A structure of the guest's layout.</typeparam>
    /// <param name="offset">Byte offset in the window.</param>
    /// <param name="value">The structure.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie in the window.</exception>
    public void Write<T>(int offset, T value)
        where T : unmanaged
    {
        Unsafe.WriteUnaligned(At(offset, sizeof(T)), value);
    }

    /// <summary>Reads an index that another thread publishes: later reads are not done before it.</summary>
    /// <param name="offset">Byte offset in the window; the guest address is a multiple of 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie in the window.</exception>
    public ushort LoadAcquireUInt16(int offset) => Volatile.Read(ref *(ushort*)At(offset, sizeof(ushort)));

    /// <summary>Publishes an index: earlier reads and writes are done before it.</summary>
    /// <param name="offset">Byte offset in the window; the guest address is a multiple of 2.</param>
    /// <param name="value">The index.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie in the window.</exception>
    public void StoreReleaseUInt16(int offset, ushort value) => Volatile.Write(ref *(ushort*)At(offset, sizeof(ushort)), value);

    /// <summary>Copies bytes out, from the start of the window.</summary>
    /// <param name="destination">At most <see cref="Length"/> bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The window is shorter.</exception>
    public void CopyTo(Span<byte> destination) => new ReadOnlySpan<byte>(At(0, destination.Length), destination.Length).CopyTo(destination);

    /// <summary>Copies bytes in, from the start of the window.</summary>
    /// <param name="source">At most <see cref="Length"/> bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The window is shorter.</exception>
    public void CopyFrom(ReadOnlySpan<byte> source) => source.CopyTo(new Span<byte>(At(0, source.Length), source.Length));

    /// <summary>A part of the window.</summary>
    /// <param name="offset">Its start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">It does not lie in the window.</exception>
    public GuestWindow Slice(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        return new GuestWindow(At(offset, length), length);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private byte* At(int offset, int size)
    {
        // Negative offsets are large ones here; size is never negative.
        if ((uint)offset > (uint)Length || (uint)size > (uint)(Length - offset))
        {
            ThrowOutside(offset, size);
        }

        return _host + offset;
    }

    [DoesNotReturn]
    private void ThrowOutside(int offset, int size)
    {
        throw new ArgumentOutOfRangeException(nameof(offset), $"{size} bytes at {offset} do not lie in a window of {Length} bytes");
    }
}
