using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Interop;

/// <summary>Turns guest buffers into the array that readv and its kin take.</summary>
internal static unsafe class IoVectors
{
    /// <summary>Fills vectors from the start of a run.</summary>
    /// <param name="buffers">The run.</param>
    /// <param name="vectors">Room; what does not fit is left for the next call.</param>
    /// <returns>How many were filled.</returns>
    public static int Fill(GuestBuffers buffers, Span<GuestSegment> vectors)
    {
        int count = 0;
        long left = buffers.Length;
        nuint skip = buffers.Skip;
        for (GuestSegment* segment = buffers.Segments; left > 0 && count < vectors.Length; segment++)
        {
            if (skip >= segment->Length)
            {
                skip -= segment->Length;
                continue;
            }

            nuint length = (nuint)Math.Min((ulong)(segment->Length - skip), (ulong)left);
            vectors[count].Base = segment->Base + skip;
            vectors[count].Length = length;
            count++;
            left -= (long)length;
            skip = 0;
        }

        return count;
    }
}
