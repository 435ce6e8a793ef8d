using System;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Vmm.DeviceModel.Diagnostics;

namespace Vmm.Tests.DeviceModel.Diagnostics;

public sealed class TokenBucketTests
{
    [Fact]
    [Trait("Behaviour", "BUS-2")]
    public void A_burst_passes_at_once_and_then_one_a_second()
    {
        var time = new ManualTime();
        var bucket = new TokenBucket(10, 1, time);

        Enumerable.Range(0, 25).Count(_ => bucket.TryTake(out long _)).Should().Be(10);
        bucket.Suppressed.Should().Be(15);
        time.Advance(TimeSpan.FromSeconds(0.9));
        bucket.TryTake(out long suppressed).Should().BeFalse();
        suppressed.Should().Be(0);
        time.Advance(TimeSpan.FromSeconds(0.1));
        bucket.TryTake(out suppressed).Should().BeTrue();
        suppressed.Should().Be(16);
        bucket.TryTake(out _).Should().BeFalse();
        time.Advance(TimeSpan.FromHours(1));
        Enumerable.Range(0, 25).Count(_ => bucket.TryTake(out long _)).Should().Be(10, "a bucket holds no more than its burst");
    }

    [Fact]
    public async Task Threads_share_the_burst_exactly()
    {
        var bucket = new TokenBucket(100, 1, new ManualTime());
        int granted = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() =>
        {
            for (int i = 0; i < 1000; i++)
            {
                if (bucket.TryTake(out long _))
                {
                    Interlocked.Increment(ref granted);
                }
            }
        })));

        granted.Should().Be(100);
        bucket.Suppressed.Should().BeLessThanOrEqualTo(3900);
    }

    [Fact]
    public void Nonsense_is_refused()
    {
        ((Action)(() => _ = new TokenBucket(0))).Should().Throw<ArgumentOutOfRangeException>();
        ((Action)(() => _ = new TokenBucket(1, 0))).Should().Throw<ArgumentOutOfRangeException>();
    }
}
