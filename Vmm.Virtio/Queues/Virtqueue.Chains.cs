using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Vmm.Virtio.Queues;

/// <content>What walking a chain needs off its hot path, whatever the form of the ring.</content>
public abstract unsafe partial class Virtqueue
{
    private protected const uint DescriptorNext = 1;
    private protected const uint DescriptorWrite = 2;
    private protected const uint DescriptorIndirect = 4;
    private protected const int DescriptorSize = 16;
    private protected const string TooLong = "a chain is longer than 4 GiB";

    /// <summary>The most bytes that a chain may have (2.7.5.2).</summary>
    private protected const ulong MaximumLength = 1UL << 32;

    // Drivers make indirect tables longer than a small queue (Linux does, 2.7.5.3.1 notwithstanding): the bound is our own then.
    private const uint MinimumIndirectLimit = 1024;

    private readonly uint _indirectLimit;
    private readonly bool _indirect;
    private byte[]? _indirectCopy;

    /// <summary>Where addresses lie in host memory.</summary>
    private protected DmaView View { get; }

    /// <summary>Adds a buffer, wherever it lies and in however many pieces.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="segment">Its first free piece.</param>
    /// <param name="address">Address of the buffer.</param>
    /// <param name="length">Its length in bytes; 0 adds nothing.</param>
    /// <param name="total">Length of the chain with it.</param>
    /// <param name="write">The device writes it.</param>
    /// <returns>The first free piece, or null if the ring is broken now.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private protected GuestSegment* AddBuffer(DescriptorChain chain, GuestSegment* segment, ulong address, ulong length, ulong total, bool write)
    {
        ref DmaView.Region hit = ref View.Hit;
        ulong offset = address - hit.Start;
        if (hit.Holds(offset, length) && segment < chain.SegmentsEnd)
        {
            segment->Base = hit.Host + offset;
            segment->Length = (nuint)length;
            return segment + 1;
        }

        int used = (int)(segment - chain.Segments);
        string? reason = total > MaximumLength ? TooLong : View.AddPieces(chain, ref used, address, length, write);
        if (reason is not null)
        {
            Break(reason);
            return null;
        }

        return chain.Segments + used;
    }

    /// <summary>
    /// Whether a descriptor may be followed into its table: all that <see cref="EnterIndirectTable"/> checks but where the table lies.
    /// </summary>
    /// <param name="flags">Flags of the descriptor, which has no other descriptors before it.</param>
    /// <param name="length">Its length in bytes.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private protected bool CanEnterTable(uint flags, uint length)
    {
        // A length of 0 wraps to the largest number.
        return _indirect && (flags & DescriptorNext) == 0 && length % DescriptorSize == 0 && (length / DescriptorSize) - 1 < _indirectLimit;
    }

    /// <summary>Checks an indirect table and finds it (2.7.5.3, 2.8.7).</summary>
    /// <param name="address">Its address.</param>
    /// <param name="length">Its length in bytes.</param>
    /// <param name="nested">The descriptor that refers to it is in such a table itself.</param>
    /// <param name="linked">That descriptor is not the last of its chain, or (packed) not the only one.</param>
    /// <returns>The table, or null if the ring is broken now.</returns>
    private protected byte* EnterIndirectTable(ulong address, uint length, bool nested, bool linked)
    {
        string? reason = null;
        if (!_indirect)
        {
            reason = "an indirect descriptor without VIRTIO_F_INDIRECT_DESC";
        }
        else if (nested)
        {
            reason = "an indirect table inside an indirect table";
        }
        else if (linked)
        {
            reason = "an indirect descriptor with NEXT";
        }
        else if (length == 0 || length % DescriptorSize != 0)
        {
            reason = "the length of an indirect table is not a multiple of 16";
        }
        else if (length / DescriptorSize > _indirectLimit)
        {
            reason = "an indirect table is too long";
        }

        if (reason is null)
        {
            ref DmaView.Region hit = ref View.Hit;
            ulong offset = address - hit.Start;
            if (offset < hit.Length && length <= hit.Length - offset)
            {
                return hit.Host + offset;
            }

            byte* table = View.Resolve(address, length, false);
            if (table is not null)
            {
                return table;
            }

            // In pieces: walk a copy.
            _indirectCopy ??= GC.AllocateUninitializedArray<byte>((int)_indirectLimit * DescriptorSize, pinned: true);
            if (View.TryRead(address, _indirectCopy.AsSpan(0, (int)length)))
            {
                return (byte*)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(_indirectCopy));
            }

            reason = "an indirect table is not in RAM";
        }

        Break(reason);
        return null;
    }

    /// <summary>Marks what a device wrote into a chain, where that is tracked.</summary>
    /// <param name="chain">The chain.</param>
    /// <param name="written">Bytes from the start of its writable part.</param>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private protected void MarkDirty(DescriptorChain chain, long written)
    {
        if (written == uint.MaxValue)
        {
            // A used length has 32 bits, and the chain may have one byte more.
            written = chain.WritableLength;
        }

        GuestSegment* segment = chain.Segments + chain.ReadableCount;
        for (ulong left = (ulong)Math.Min(written, chain.WritableLength); left > 0; segment++)
        {
            ulong length = Math.Min(left, segment->Length);
            View.MarkDirty(segment->Base, length);
            left -= length;
        }
    }

    /// <summary>Latches the ring as broken.</summary>
    /// <returns>False, for callers that give up with it.</returns>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private protected bool Break(string reason)
    {
        MarkBroken(reason);
        return false;
    }
}
