using System;
using System.Threading;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Queues;

namespace Vmm.Tests.Fakes;

/// <summary>A disk whose every call does what the test says: waits, throws, takes its time.</summary>
public sealed class GatedBlockBackend(Action onCall) : SynchronousBlockBackend
{
    private int _calls;

    public override long Length => 1L << 40;

    public override bool IsReadOnly => false;

    /// <summary>Calls that have begun.</summary>
    public int Calls => Volatile.Read(ref _calls);

    /// <summary>Bytes of the longest call.</summary>
    public long Longest { get; private set; }

    /// <summary>Set when the first call has begun.</summary>
    public ManualResetEventSlim Entered { get; } = new();

    public override BlockStatus Read(long offset, GuestBuffers destination) => Call(destination.Length);

    public override BlockStatus Write(long offset, GuestBuffers source) => Call(source.Length);

    public override BlockStatus Flush() => BlockStatus.Ok;

    public override BlockStatus Discard(long offset, long length) => Call(length);

    public override BlockStatus WriteZeroes(long offset, long length, bool mayUnmap) => Call(length);

    protected override void Dispose(bool disposing)
    {
        Entered.Dispose();
        base.Dispose(disposing);
    }

    private BlockStatus Call(long length)
    {
        Longest = Math.Max(Longest, length);
        Interlocked.Increment(ref _calls);
        Entered.Set();
        onCall();
        return BlockStatus.Ok;
    }
}
