using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>Base of back-ends that do a request when they are asked: one method an operation, on the worker of the queue.</summary>
/// <remarks>
/// Long requests come in parts (reads and writes of 1 MiB, zeroes of 16 MiB, discards of 64 MiB), and a queue that is stopped begins no further part.
/// A call may wait for the host; it holds up its queue alone. No method throws: a failure is a status. Methods are called at the same time by several
/// queues.
/// </remarks>
public abstract class SynchronousBlockBackend : IBlockBackend
{
    private const long MovedAtOnce = 1 << 20;
    private const long ZeroesAtOnce = 16 << 20;
    private const long DiscardAtOnce = 64 << 20;

    /// <inheritdoc/>
    public abstract long Length { get; }

    /// <inheritdoc/>
    public abstract bool IsReadOnly { get; }

    /// <inheritdoc/>
    public virtual void Resize(long length) => throw new BackendException("resize", GetType().Name, 0, "cannot be resized");

    /// <summary>Does a request, part by part, and completes it.</summary>
    /// <param name="request">The request.</param>
    public void Submit(BlockRequest request)
    {
        ArgumentNullException.ThrowIfNull(request);
        long atOnce = request.Operation switch
        {
            BlockOperation.WriteZeroes => ZeroesAtOnce,
            BlockOperation.Discard => DiscardAtOnce,
            _ => MovedAtOnce,
        };
        long done = 0;
        BlockStatus status;
        do
        {
            if (done > 0 && request.IsCancelled)
            {
                request.GiveBack();
                return;
            }

            long part = Math.Min(request.Length - done, atOnce);
            status = request.Operation switch
            {
                BlockOperation.Read => Read(request.Offset + done, request.Buffers.Slice(done, part)),
                BlockOperation.Write => Write(request.Offset + done, request.Buffers.Slice(done, part)),
                BlockOperation.Discard => Discard(request.Offset + done, part),
                BlockOperation.WriteZeroes => WriteZeroes(request.Offset + done, part, request.MayUnmap),
                _ => Flush(),
            };
            done += part;
        }
        while (status == BlockStatus.Ok && done < request.Length);
        request.Complete(status);
    }

    /// <summary>Reads.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Where to.</param>
    public abstract BlockStatus Read(long offset, GuestBuffers destination);

    /// <summary>Writes; durable after the next <see cref="Flush"/>.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="source">The bytes, as many as are written.</param>
    public abstract BlockStatus Write(long offset, GuestBuffers source);

    /// <summary>Makes everything that was written durable.</summary>
    public abstract BlockStatus Flush();

    /// <summary>The range is not needed any more: a hint; what it reads afterwards is not defined.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    public abstract BlockStatus Discard(long offset, long length);

    /// <summary>Makes a range read as zeroes.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mayUnmap">True if the storage may be given back.</param>
    public abstract BlockStatus WriteZeroes(long offset, long length, bool mayUnmap);

    /// <summary>Closes what it holds; no call is under way, and none comes any more.</summary>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes what it holds.</summary>
    /// <param name="disposing">True from <see cref="Dispose()"/>.</param>
    protected virtual void Dispose(bool disposing)
    {
    }
}
