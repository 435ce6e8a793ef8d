using System;
using System.Collections.Generic;
using System.Linq;
using Vmm.Virtio.Limits;

namespace Vmm.Tests.Virtio.Limits;

/// <summary>The arithmetic of a limit, by a clock that stands still until it is moved.</summary>
[Trait("Behaviour", "IO-5")]
public sealed class TokenBucketTests
{
    private readonly ManualTime _time = new();

    [Fact]
    public void It_is_full_at_first_and_comes_back_evenly_up_to_its_size()
    {
        TokenBucket bucket = Create(1000, 100);
        bucket.Available.Should().Be(1000);
        bucket.Take(1000);
        bucket.Available.Should().Be(0);
        bucket.IsEmpty.Should().BeTrue();
        Advance(25);
        bucket.Available.Should().Be(250);
        Advance(25);
        bucket.Available.Should().Be(500);
        Advance(10_000);
        bucket.Available.Should().Be(1000);
    }

    [Fact]
    public void The_burst_is_taken_first_and_once()
    {
        TokenBucket bucket = Create(10, 1000, burst: 5);
        bucket.Available.Should().Be(15);
        bucket.Take(4);
        bucket.Available.Should().Be(11);
        bucket.Take(11);
        bucket.IsEmpty.Should().BeTrue();
        Advance(5000);
        bucket.Available.Should().Be(10);
    }

    [Fact]
    public void What_is_taken_beyond_what_there_is_is_owed()
    {
        TokenBucket bucket = Create(100, 1000);
        bucket.Take(250);
        bucket.Available.Should().Be(0);
        bucket.Wait.Should().Be(TimeSpan.FromMilliseconds(1510), "150 are owed, and one is to be there");
        Advance(1509);
        bucket.IsEmpty.Should().BeTrue();
        Advance(1);
        bucket.IsEmpty.Should().BeFalse();
        bucket.Available.Should().Be(1);
        bucket.Wait.Should().Be(TimeSpan.Zero);
    }

    [Fact]
    public void Parts_of_tokens_are_neither_lost_nor_won()
    {
        TokenBucket bucket = Create(3, 1000);
        bucket.Take(3);
        long taken = 0;
        for (int i = 0; i < 10_000; i++)
        {
            Advance(1);
            while (!bucket.IsEmpty)
            {
                bucket.Take(1);
                taken++;
            }
        }

        taken.Should().Be(30);
    }

    [Fact]
    public void The_largest_numbers_do_not_overflow()
    {
        TokenBucket bucket = Create(long.MaxValue, int.MaxValue, long.MaxValue);
        bucket.Available.Should().Be(long.MaxValue);
        bucket.Take(long.MaxValue);
        bucket.Take(long.MaxValue);
        bucket.IsEmpty.Should().BeTrue();
        Advance(int.MaxValue);
        bucket.Available.Should().Be(long.MaxValue);
        TokenBucket slow = Create(1, int.MaxValue);
        slow.Take(long.MaxValue);
        slow.Wait.Should().BePositive();
    }

    [Theory]
    [InlineData(0, 1000)]
    [InlineData(1000, 0)]
    [InlineData(0, 0)]
    public void Without_a_size_or_a_time_there_is_no_limit(long size, long refillTime)
    {
        TokenBucket.Create(new TokenBucketOptions(size, refillTime, 5), _time).Should().BeNull();
        TokenBucket.Create(null, _time).Should().BeNull();
    }

    [Theory]
    [InlineData(-1, 1, 0)]
    [InlineData(1, -1, 0)]
    [InlineData(1, 1, -1)]
    [InlineData(1, 1L << 31, 0)]
    public void Numbers_that_no_bucket_has_are_refused(long size, long refillTime, long burst)
    {
        var options = new RateLimiterOptions(Operations: new TokenBucketOptions(size, refillTime, burst));
        options.Invoking(static o => o.Validate()).Should().Throw<ArgumentException>();
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Over_any_window_no_more_goes_through_than_burst_and_size_and_rate_and_one_overdraft(int seed)
    {
        var random = new Random(seed);
        long size = random.NextInt64(1, 1 << random.Next(1, 24));
        int refill = random.Next(1, 2000);
        long burst = random.Next(2) == 0 ? 0 : random.NextInt64(size * 4);
        long largest = random.NextInt64(1, size * 3);
        TokenBucket bucket = Create(size, refill, burst);
        var taken = new List<(double At, long Tokens)>();
        double now = 0;
        for (int i = 0; i < 300; i++)
        {
            // Sometimes nobody asks for long, so that it is full again; otherwise it is emptied each time.
            double step = random.Next(20) == 0 ? random.Next(10_000) : random.NextDouble() * refill / 4;
            step = TimeSpan.FromTicks((long)(step * TimeSpan.TicksPerMillisecond)).TotalMilliseconds;
            _time.Advance(TimeSpan.FromMilliseconds(step));
            now += step;
            for (int j = 0; j < 50 && !bucket.IsEmpty; j++)
            {
                long tokens = random.NextInt64(1, largest + 1);
                bucket.Take(tokens);
                taken.Add((now, tokens));
            }
        }

        for (int from = 0; from < taken.Count; from += 7)
        {
            long sum = 0;
            for (int to = from; to < taken.Count; to++)
            {
                sum += taken[to].Tokens;
                double most = burst + size + (size * (taken[to].At - taken[from].At) / refill) + largest;
                ((double)sum).Should().BeLessThanOrEqualTo(most + 1, $"from {taken[from].At} to {taken[to].At} ms");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Who_always_asks_gets_the_whole_rate(int seed)
    {
        var random = new Random(seed);
        long size = random.NextInt64(100, 1 << 20);
        int refill = random.Next(10, 2000);
        TokenBucket bucket = Create(size, refill, burst: 50);
        long sum = 0;
        double elapsed = 0;
        for (int i = 0; i < 2000; i++)
        {
            while (!bucket.IsEmpty)
            {
                long tokens = random.NextInt64(1, size);
                bucket.Take(tokens);
                sum += tokens;
            }

            int step = random.Next(1, Math.Max(2, refill / 4));
            Advance(step);
            elapsed += step;
        }

        double due = 50 + size + (size * elapsed / refill);
        ((double)sum).Should().BeInRange(due - size, due + size);
    }

    public static TheoryData<int> Seeds => [.. Enumerable.Range(1, 40)];

    private TokenBucket Create(long size, long refillTime, long? burst = null) =>
        TokenBucket.Create(new TokenBucketOptions(size, refillTime, burst), _time)!;

    private void Advance(int milliseconds) => _time.Advance(TimeSpan.FromMilliseconds(milliseconds));
}
