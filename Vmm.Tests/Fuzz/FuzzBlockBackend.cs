using System.Threading;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fuzz;

/// <summary>A disk file that counts what reaches it.</summary>
internal sealed class FuzzBlockBackend(IBlockBackend inner, FuzzCounts counts) : IBlockBackend
{
    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public BlockStatus Read(long offset, GuestBuffers destination) => Counted(inner.Read(offset, destination));

    public BlockStatus Write(long offset, GuestBuffers source) => Counted(inner.Write(offset, source));

    public BlockStatus Flush() => Counted(inner.Flush());

    public BlockStatus Discard(long offset, long length) => Counted(inner.Discard(offset, length));

    public BlockStatus WriteZeroes(long offset, long length, bool mayUnmap) => Counted(inner.WriteZeroes(offset, length, mayUnmap));

    public void Dispose() => inner.Dispose();

    private BlockStatus Counted(BlockStatus status)
    {
        Interlocked.Increment(ref counts.Requests);
        return status;
    }
}
