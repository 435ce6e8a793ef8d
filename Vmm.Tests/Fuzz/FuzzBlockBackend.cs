using System.Threading;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fuzz;

/// <summary>A disk file that counts what reaches it.</summary>
internal sealed class FuzzBlockBackend(IBlockBackend inner, FuzzCounts counts) : IBlockBackend
{
    public long Length => inner.Length;

    public bool IsReadOnly => inner.IsReadOnly;

    public void Submit(BlockRequest request)
    {
        Interlocked.Increment(ref counts.Requests);
        inner.Submit(request);
    }

    public void Dispose() => inner.Dispose();
}
