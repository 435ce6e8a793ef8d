using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Vmm.Virtio.Queues;

/// <summary>Copies bytes between guest and host memory, which do not overlap.</summary>
/// <remarks>
/// A block of a few pages is copied here, since the runtime gives such lengths away to the C library, whose way there and whose choice of
/// instructions both cost more. Shorter and longer ones are the runtime's.
/// </remarks>
internal static unsafe class GuestCopy
{
    private const int Shortest = 2048;
    private const int Longest = 64 << 10;
    private const int Step = 128;

    /// <summary>Copies a span.</summary>
    /// <param name="source">The first byte to copy.</param>
    /// <param name="destination">Room for it.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Copy(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        if (Avx.IsSupported && (uint)(source.Length - Shortest) <= Longest - Shortest)
        {
            CopyBlock(source, destination);
        }
        else
        {
            source.CopyTo(destination);
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void CopyBlock(ReadOnlySpan<byte> source, Span<byte> destination)
    {
        int whole = source.Length - (source.Length % Step);
        source[whole..].CopyTo(destination[whole..]);
        fixed (byte* from = source)
        fixed (byte* to = destination)
        {
            for (nuint i = 0; i < (nuint)whole; i += Step)
            {
                Vector256<byte> a = Avx.LoadVector256(from + i);
                Vector256<byte> b = Avx.LoadVector256(from + i + 32);
                Vector256<byte> c = Avx.LoadVector256(from + i + 64);
                Vector256<byte> d = Avx.LoadVector256(from + i + 96);
                Avx.Store(to + i, a);
                Avx.Store(to + i + 32, b);
                Avx.Store(to + i + 64, c);
                Avx.Store(to + i + 96, d);
            }
        }
    }
}
