using System;

namespace Vmm.Virtio.Devices;

/// <summary>What a block device keeps its sectors in.</summary>
/// <remarks>
/// <see cref="Submit"/> is called by one worker a queue, at the same time with several queues; as many requests may be in flight as the queues have
/// descriptors, and they may end in any order. Ranges were checked by the device against the <see cref="Length"/> of that time; after a
/// <see cref="Resize"/> one may lie beyond the end. Back-ends that do a request when they are asked derive from
/// <see cref="SynchronousBlockBackend"/>.
/// </remarks>
public interface IBlockBackend : IDisposable
{
    /// <summary>Bytes, a multiple of 512. Changes by <see cref="Resize"/> alone.</summary>
    long Length { get; }

    /// <summary>True if nothing may be written; the device then refuses every change by itself.</summary>
    bool IsReadOnly { get; }

    /// <summary>
    /// Bytes that a request should begin at a multiple of and have a multiple of: the logical block size that the driver is told, a power of two from
    /// 512 to 4096. One that does not may fail.
    /// </summary>
    int BlockSize => 512;

    /// <summary>
    /// Changes <see cref="Length"/>, which has the new value on return. Called by the device on the thread of whoever asks, one call at a time,
    /// while requests are in flight; again with the same length to have it cut once more, when requests beyond a new end have ended. May wait.
    /// </summary>
    /// <param name="length">Bytes, a multiple of 512 and of <see cref="BlockSize"/>, and at least that.</param>
    /// <exception cref="BackendException">It cannot, which is so unless a back-end implements this; nothing has changed.</exception>
    void Resize(long length) => throw new BackendException("resize", GetType().Name, 0, "cannot be resized");

    /// <summary>
    /// Gives a queue of the device a path of its own, where the back-end has such: its requests are submitted there from then on, and those that
    /// belong to no queue here.
    /// </summary>
    /// <param name="size">Requests in flight at most.</param>
    /// <returns>The path, which the device disposes before the back-end; null if requests of every queue are to be submitted here.</returns>
    IBlockQueue? OpenQueue(int size) => null;

    /// <summary>
    /// Begins a request, which ends with <see cref="BlockRequest.Complete"/>: once, from any thread, also before this returns. Does not throw; what
    /// goes wrong is a status. A call that takes long holds up its queue alone.
    /// </summary>
    /// <param name="request">The request, which is the back-end's until it completes it, and not to be touched after that.</param>
    void Submit(BlockRequest request);
}
