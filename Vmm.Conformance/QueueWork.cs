using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Conformance.Driving;
using Vmm.Virtio.Driver;

namespace Vmm.Conformance;

/// <summary>How one request to a device looks that completes and changes nothing that anybody keeps: the checks of rings make it.</summary>
/// <remarks>The suite has one for each device type that it knows; the target gives that of another (<see cref="ConformanceTarget.Work"/>).</remarks>
public sealed record QueueWork
{
    /// <summary>The most bytes of a request, with the room for its reply.</summary>
    public const int MaximumLength = 960;

    private const byte Unwritten = 0xff;

    /// <summary>Index of the queue that takes the request.</summary>
    public required int Queue { get; init; }

    /// <summary>Bytes that the device reads; none where it only writes.</summary>
    public ReadOnlyMemory<byte> Request { get; init; }

    /// <summary>
    /// Bytes that the device has room for, a buffer each; none where it only reads. They are one buffer where the queue is too small for all.
    /// </summary>
    public IReadOnlyList<int> Reply { get; init; } = [];

    /// <summary>Says whether a reply is right, by its room (0xff where nothing was written) and the used length; without it every one is.</summary>
    public Func<ReadOnlySpan<byte>, uint, bool>? IsRight { get; init; }

    /// <summary>A right reply in words, for the report.</summary>
    public string RightReply { get; init; } = "a right reply";

    /// <summary>Descriptors that the request needs at least.</summary>
    internal int LeastDescriptors => (Request.IsEmpty ? 0 : 1) + (Reply.Count == 0 ? 0 : 1);

    internal int ReplyLength => Reply.Sum();

    /// <summary>The target's work can be made.</summary>
    /// <exception cref="ArgumentException">It cannot.</exception>
    internal void ThrowIfWrong(string parameter)
    {
        if (Queue < 0 || Reply.Any(static length => length <= 0) || LeastDescriptors == 0 || Request.Length + ReplyLength > MaximumLength)
        {
            throw new ArgumentException(
                $"work needs a queue from 0, 1 to {MaximumLength} bytes of request and reply, and no empty buffer for a reply", parameter);
        }
    }

    /// <summary>Fills memory: the request, and behind it the room for the reply.</summary>
    internal void Prepare(Span<byte> memory)
    {
        Request.Span.CopyTo(memory);
        memory.Slice(Request.Length, ReplyLength).Fill(Unwritten);
    }

    /// <summary>The request's buffers.</summary>
    /// <param name="at">Device address of its memory.</param>
    /// <param name="descriptors">How many there may be.</param>
    internal List<DriverSegment> Pieces(ulong at, int descriptors)
    {
        List<DriverSegment> pieces = [];
        if (!Request.IsEmpty)
        {
            pieces.Add(new DriverSegment(at, (uint)Request.Length, false));
        }

        ulong next = at + (ulong)Request.Length;
        foreach (int length in pieces.Count + Reply.Count <= descriptors ? Reply : [ReplyLength])
        {
            pieces.Add(new DriverSegment(next, (uint)length, true));
            next += (ulong)length;
        }

        return pieces;
    }

    /// <summary>Makes one request available.</summary>
    internal void Submit(RawQueue queue)
    {
        Prepare(queue.Data);
        queue.Submit([.. Pieces(queue.DataAddress, LeastDescriptors)]);
    }

    /// <summary>Ends the check if a reply is wrong.</summary>
    internal void Judge(CheckContext check, ReadOnlySpan<byte> memory, uint length)
    {
        ReadOnlySpan<byte> reply = memory.Slice(Request.Length, ReplyLength);
        if (IsRight?.Invoke(reply, length) == false)
        {
            check.Fail(RightReply, $"a used length of {length}, and 0x{Convert.ToHexString(reply[^Math.Min(reply.Length, 16)..])} at the end");
        }
    }
}
