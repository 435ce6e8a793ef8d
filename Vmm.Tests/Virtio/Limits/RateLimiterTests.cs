using System;
using Vmm.Virtio.Limits;

namespace Vmm.Tests.Virtio.Limits;

/// <summary>Two buckets and the timer that tells of them.</summary>
[Trait("Behaviour", "IO-5")]
public sealed class RateLimiterTests
{
    private readonly ManualTime _time = new();
    private int _told;

    [Fact]
    public void Without_buckets_there_is_no_limiter()
    {
        RateLimiter.Create(null, _time, static () => { }).Should().BeNull();
        RateLimiter.Create(new RateLimiterOptions(), _time, static () => { }).Should().BeNull();
        var off = new RateLimiterOptions(new TokenBucketOptions(0, 1), new TokenBucketOptions(1, 0));
        RateLimiter.Create(off, _time, static () => { }).Should().BeNull();
    }

    [Fact]
    public void The_emptier_bucket_decides_and_who_got_nothing_is_told_once()
    {
        using RateLimiter limiter = Create(new TokenBucketOptions(1000, 1000), new TokenBucketOptions(2, 100));
        limiter.TryTake(10).Should().BeTrue();
        limiter.TryTake(2000).Should().BeTrue("a request may take more than there is");
        limiter.TryTake(1).Should().BeFalse();
        limiter.TryTake(0).Should().BeFalse();

        // 1010 are owed, and one is to be there.
        _time.Advance(TimeSpan.FromMilliseconds(1010));
        _told.Should().Be(0);
        limiter.TryTake(1).Should().BeFalse();
        _time.Advance(TimeSpan.FromMilliseconds(1));
        _told.Should().Be(1);
        limiter.TryTake(1).Should().BeTrue();
    }

    [Fact]
    public void Nobody_is_told_who_did_not_have_to_wait()
    {
        using RateLimiter limiter = Create(null, new TokenBucketOptions(2, 1000));
        limiter.TryTake(1).Should().BeTrue();
        limiter.TryTake(1).Should().BeTrue();
        _time.Advance(TimeSpan.FromSeconds(10));
        _told.Should().Be(0);
    }

    [Fact]
    public void Several_are_allowed_at_once_as_there_is_room_for_their_bytes()
    {
        using RateLimiter limiter = Create(new TokenBucketOptions(10_000, 1000), new TokenBucketOptions(8, 1000));
        limiter.Allow(32, 100).Should().Be(8);
        limiter.Allow(4, 100).Should().Be(4);
        limiter.Allow(32, 2000).Should().Be(5);
        limiter.Allow(32, 50_000).Should().Be(1, "one that is larger than what is left has its turn as well");
        limiter.Take(100, 8);
        limiter.Allow(32, 100).Should().Be(0);
        _time.Advance(TimeSpan.FromMilliseconds(125));
        _told.Should().Be(1);
        limiter.Allow(32, 100).Should().Be(1);
    }

    [Fact]
    public void A_wait_that_is_longer_than_a_timer_can_be_is_waited_for_in_parts()
    {
        using RateLimiter limiter = Create(null, new TokenBucketOptions(1, int.MaxValue));
        limiter.TryTake(0).Should().BeTrue();
        limiter.TryTake(0).Should().BeFalse();
        _time.Advance(TimeSpan.FromHours(1));
        _told.Should().Be(1);
        limiter.TryTake(0).Should().BeFalse();
    }

    [Fact]
    public void A_wait_of_less_than_a_millisecond_is_one_for_the_timer()
    {
        using RateLimiter limiter = Create(null, new TokenBucketOptions(1_000_000, 1));
        limiter.Take(0, 1_000_000);
        limiter.TryTake(0).Should().BeFalse();
        _told.Should().Be(0);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        _told.Should().Be(1);
    }

    private RateLimiter Create(TokenBucketOptions? bandwidth, TokenBucketOptions? operations) =>
        RateLimiter.Create(new RateLimiterOptions(bandwidth, operations), _time, () => _told++)!;
}
