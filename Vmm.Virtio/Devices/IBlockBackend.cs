using System;
using Vmm.Virtio.Queues;

namespace Vmm.Virtio.Devices;

/// <summary>What a block device keeps its sectors in.</summary>
/// <remarks>
/// Called by one worker a queue, at the same time with several queues. Ranges were checked against <see cref="Length"/> by the device.
/// No method throws: a failure is a status. Long requests come in parts (reads and writes of 1 MiB, zeroes of 16 MiB, discards of 64 MiB), since
/// stopping the queue waits for one call.
/// </remarks>
public interface IBlockBackend : IDisposable
{
    /// <summary>Bytes, a multiple of 512.</summary>
    long Length { get; }

    /// <summary>True if nothing may be written; the device then refuses every change by itself.</summary>
    bool IsReadOnly { get; }

    /// <summary>Reads.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="destination">Where to.</param>
    BlockStatus Read(long offset, GuestBuffers destination);

    /// <summary>Writes; durable after the next <see cref="Flush"/>.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="source">What.</param>
    BlockStatus Write(long offset, GuestBuffers source);

    /// <summary>Makes everything that was written durable.</summary>
    BlockStatus Flush();

    /// <summary>The range is not needed any more: a hint; what it reads afterwards is not defined.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    BlockStatus Discard(long offset, long length);

    /// <summary>Makes a range read as zeroes.</summary>
    /// <param name="offset">First byte.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="mayUnmap">True if the storage may be given back.</param>
    BlockStatus WriteZeroes(long offset, long length, bool mayUnmap);
}
