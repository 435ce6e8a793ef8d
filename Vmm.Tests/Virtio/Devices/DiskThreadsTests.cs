using System.Threading;
using Vmm.Virtio.Devices;
using Vmm.Virtio.Disks;

namespace Vmm.Tests.Virtio.Devices;

[Trait("Behaviour", "IO-1")]
public sealed class DiskThreadsTests
{
    [Fact]
    public void No_more_requests_are_under_way_than_there_are_threads_and_all_of_them_end()
    {
        using var gate = new ManualResetEventSlim();
        int running = 0;
        int most = 0;
        int ended = 0;
        using var threads = new DiskThreads(
            (request, _) =>
            {
                int now = Interlocked.Increment(ref running);
                InterlockedMaximum(ref most, now);
                gate.Wait();
                Interlocked.Decrement(ref running);
                request.Complete(BlockStatus.Ok);
            },
            limit: 4,
            bounces: false);
        for (int k = 0; k < 200; k++)
        {
            threads.Submit(new BlockRequest(() => Interlocked.Increment(ref ended)));
        }

        Eventually.Holds(() => Volatile.Read(ref running) == 4, "each thread has one");
        Volatile.Read(ref ended).Should().Be(0);
        gate.Set();
        Eventually.Holds(() => Volatile.Read(ref ended) == 200, "all of them end");
        most.Should().Be(4);

        threads.Submit(new BlockRequest(() => Interlocked.Increment(ref ended)));
        Eventually.Holds(() => Volatile.Read(ref ended) == 201, "a thread that has nothing to do is used again");
    }

    private static void InterlockedMaximum(ref int target, int value)
    {
        int seen = Volatile.Read(ref target);
        while (seen < value)
        {
            seen = Interlocked.CompareExchange(ref target, value, seen) is var found && found == seen ? value : Volatile.Read(ref target);
        }
    }
}
