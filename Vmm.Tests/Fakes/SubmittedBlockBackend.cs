using System;
using Vmm.Virtio.Devices;

namespace Vmm.Tests.Fakes;

/// <summary>A disk that does what the test says with each request that it is given, on the thread that gives it.</summary>
public sealed class SubmittedBlockBackend(Action<BlockRequest> onSubmit) : IBlockBackend
{
    public long Length => 1L << 30;

    public bool IsReadOnly => false;

    public void Submit(BlockRequest request) => onSubmit(request);

    public void Dispose()
    {
    }
}
